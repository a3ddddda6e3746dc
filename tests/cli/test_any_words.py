"""Whatever is typed behind `gptexp train` is a request, or one sentence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gptexp.cli.assignments import divide, read_request
from gptexp.cli.train import read_train_words
from gptexp.config import RunConfig, build_config
from gptexp.studies.sweep.space import write_value
from tests.test_config import BRIEF, COUNTS, STRANGE, VALUES, refuse

KEYS = st.sampled_from([*RunConfig.model_fields, "scale", "model", "n-layer", "", "params", "corpus.x"])
WORDS = (
    STRANGE
    | st.builds("{}{}={}".format, st.sampled_from(["", "--", "+", "-"]), KEYS, STRANGE)
    | st.builds("--{}".format, KEYS)
    | STRANGE.map(lambda text: f"{text}.json")
    | st.sampled_from(["--", "{'lr': 1}", '{"lr": {"lr": 1}}', "--params", "--dry-run", "lr=", "=", "--=1", "{" * 999])
)


@pytest.mark.parametrize("name", RunConfig.model_fields)
def test_every_value_in_every_way_of_saying_it(name: str) -> None:
    """As `key=value`, `--key value`, `--group.key=value`, a JSON group, and in JSON and YAML files: the same config."""

    @BRIEF
    @given(VALUES.get(name, COUNTS))
    def check(value: Any) -> None:
        meant = build_config({name: value})
        spelled = write_value(value)
        ways: list[list[str]] = [
            [f"{name}={spelled}"],
            [f"--model.{name.replace('_', '-')}={spelled}"],
            [f"--model={json.dumps({name: value})}"],
        ]
        if not spelled.startswith("-"):
            ways.append([f"--{name}", spelled] if value is not True else [f"--{name}"])
        with tempfile.TemporaryDirectory() as folder:
            for text, ending in ((json.dumps({name: value}), "json"), (yaml.safe_dump({name: value}), "yaml")):
                path = Path(folder, f"p.{ending}")
                path.write_text(text, encoding="utf-8")
                found = read_request([], [path])
                assert build_config({**found.overrides, **as_field(found.corpus)}) == meant
            for words in ways:
                found = read_request(words)
                assert build_config({**found.overrides, **as_field(found.corpus)}) == meant, words

    check()


def as_field(corpus: str | None) -> dict[str, str]:
    return {} if corpus is None else {"corpus": corpus}


@BRIEF
@given(st.lists(WORDS, max_size=5))
def test_any_words_are_a_request_or_one_sentence(words: list[str]) -> None:
    """Two readers of one language: neither stops with anything but a sentence, and both refuse the same words."""
    said = refuse(lambda: read_request(divide(words, {})[1]))
    assert "\n" not in said
    assert len(said) < 2_000
    refuse(lambda: read_train_words(words))
