"""The model card of an exported run: what it was trained on, how, and what its losses mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jinja2

from gptexp.model.gpt import GPT
from gptexp.text import clean_text

LICENCES = {
    "tinyshakespeare": (
        "TinyShakespeare, a million characters of Shakespeare's plays, which are in the public domain",
        "cc0-1.0",
    ),
    "python-docs": ("the documentation text of CPython, under the Python Software Foundation's licence", "psf-2.0"),
}
"""Corpus -> what it is, and the licence's name on the Hugging Face hub."""
FIELDS = (
    *("n_layer", "n_head", "n_embd", "block_size", "vocab_size", "dropout", "bias", "init"),
    *("optimizer", "lr", "schedule", "warmup_steps", "min_lr", "weight_decay", "beta1", "beta2", "grad_clip"),
    *("batch_size", "grad_accum_steps", "max_steps", "sampler", "seed", "precision"),
)
TEMPLATE = """\
---
library_name: {{ library }}
pipeline_tag: text-generation
{% if licence %}license: {{ licence }}
{% endif %}tags: [gpt2, gptexp, education]
---

# gptexp run {{ run_id }}

A GPT-2-shaped model of {{ "{:,}".format(n_params) }} parameters, trained by gptexp. These are the weights of step
{{ "{:,}".format(step) }} of {{ "{:,}".format(config.max_steps) }}.

**Intended use: teaching.** It shows what a training of this length comes to. It knows one small corpus, repeats parts
of it, and is no source of facts. Don't use it where anybody relies on what it writes.

## Data

{{ data }}{% if corpus.checksum %}, SHA-256 `{{ corpus.checksum }}`{% endif %}. {{ "{:,}".format(corpus.train_tokens) }}
train tokens and {{ "{:,}".format(corpus.val_tokens) }} val tokens of the tokenizer `{{ tokenizer.name }}`
({{ "{:,}".format(tokenizer.vocab_size) }} tokens). That is {{ epochs }} passes over the train split.

## Losses

Mean cross-entropy in nats per token of this tokenizer: comparable with models of the same tokenizer alone. A uniform
guess has ln {{ "{:,}".format(config.vocab_size) }} = {{ uniform }}.

| | |
|---|---|
{% for name, value in losses %}| {{ name }} | {{ value }} |
{% endfor %}
## Config

| field | value |
|---|---|
{% for name, value in fields %}| `{{ name }}` | {{ value }} |
{% endfor %}
## Where it comes from

| | |
|---|---|
{% for name, value in origin %}| {{ name }} | {{ value }} |
{% endfor %}"""


def write_card(
    model: GPT,
    content: Mapping[str, Any],
    provenance: Mapping[str, Any],
    losses: Mapping[str, float | None],
    step: int,
    library: str,
) -> str:
    """The card as Markdown with the hub's front matter.

    Args:
        content: the run's config.json.
        provenance: the last row of its provenance.jsonl, or nothing.
        losses: what is measured -> nats per token (or bits per byte, as its name says); None isn't shown.
        step: of the weights.
        library: that opens the files, as the hub names it.
    """
    config, corpus, tokenizer = content["config"], content["corpus"], content["tokenizer"]
    described, licence = LICENCES.get(
        corpus["name"], (f"The text {_clean(corpus['name'])}; its licence is its owner's", None)
    )
    tokens_per_step = config["batch_size"] * config["grad_accum_steps"] * config["block_size"]
    origin = ("git_commit", "gptexp", "torch", "python", "cpu", "gpu", "started_at")
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(TEMPLATE).render(
        run_id=content["run_id"],
        n_params=model.n_params(),
        step=step,
        config=config,
        corpus=corpus,
        tokenizer=tokenizer,
        data=described[0].upper() + described[1:],
        licence=licence,
        library=library,
        epochs=f"{step * tokens_per_step / max(1, corpus['train_tokens']):.3g}",
        uniform=f"{math.log(config['vocab_size']):.3f}",
        losses=[(name, f"{value:.4f}") for name, value in losses.items() if value is not None],
        fields=[(name, _clean(config[name])) for name in FIELDS if name in config],
        origin=[(name, _clean(provenance[name])) for name in origin if provenance.get(name)],
    )


def _clean(value: Any) -> str:
    """A value as a cell of a Markdown table."""
    return clean_text(str(value)).replace("|", "\\|").replace("\n", " ")
