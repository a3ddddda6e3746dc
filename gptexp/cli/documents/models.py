"""Formats of what one model does: samples, losses, exports, and what trains it."""

from __future__ import annotations

from typing import Literal

from gptexp.cli.documents.base import Document, Number, Part


class SampleText(Part):
    """One text."""

    seed: int
    text: str
    """The prompt and what the model wrote after it."""


class Sample(Document):
    """What a model writes."""

    commands = ("gptexp sample ID",)

    format: Literal["gptexp.sample/1"]
    run_id: str | None
    """Null with --from-hf."""
    step: int | None
    prompt: str
    text: str
    """The first of `samples`."""
    seed: int
    samples: list[SampleText]


class Milestone(Part):
    """A sample that was recorded in training."""

    step: int
    train_loss: Number | None
    prompt: str
    text: str


class Milestones(Document):
    """What a run wrote on its way."""

    commands = ("gptexp sample ID --milestones",)

    format: Literal["gptexp.milestones/1"]
    run_id: str
    samples: list[Milestone]


class Evaluation(Document):
    """The loss of a model over a whole val split."""

    commands = ("gptexp evaluate ID",)

    format: Literal["gptexp.evaluation/1"]
    model: str
    """The run id, or the folder of --from-hf."""
    step: int | None
    corpus: str
    tokens: int
    val_loss: Number
    """Nats per token."""
    perplexity: Number
    bits_per_byte: Number
    uniform_loss: float
    """Of a uniform guess, nats per token."""


class Export(Document):
    """A model for another tool."""

    commands = ("gptexp export ID --out my-model",)

    format: Literal["gptexp.export/1"]
    run_id: str
    step: int
    file_format: Literal["hf", "safetensors"]
    folder: str
    files: list[str]


class Token(Part):
    """A token of a text."""

    id: int
    token: str


class Pair(Part):
    """One prediction that the text trains."""

    context: list[str]
    context_ids: list[int]
    target: str
    target_id: int


class Trace(Document):
    """The tokens of a text and every prediction that it trains."""

    commands = ("gptexp trace 'The cat sat'",)

    format: Literal["gptexp.trace/1"]
    text: str
    tokenizer: str
    vocab_size: int
    n_tokens: int
    n_predictions: int
    tokens: list[Token]
    pairs: list[Pair]
