"""Our texts as Weights & Biases takes them."""

from __future__ import annotations

import pytest
import wandb
from wandb.sdk.artifacts._validators import validate_artifact_name, validate_project_name

from gptexp.mirrors.wandb_labels import name_labels
from gptexp.mirrors.wandb_limits import (
    ARTIFACT,
    JOB_TYPE,
    NAME,
    PROJECT,
    RUN_ID,
    TAG,
    VALUE,
    explain_client_error,
    fit_key,
    fit_label,
    fit_name,
    fit_project,
    fit_tags,
    fit_text,
    fit_value,
)

ODD = [
    "a" * 64,
    "a" * 65,
    "x" * 5000,
    "é" * 64,
    "文" * 60,
    "🙂" * 40,
    "two\nlines\tand a tab",
    "bell\x07 escape\x1b nul\x00",
    "half \ud800 of a pair",
    "bytes \udcff\udcfe of a file name",
    "a/b\\c#d?e%f:g",
    "  spaces  ",
    "quote ' and ; and ,",
]


@pytest.mark.parametrize("text", [*ODD, "", " ", "\n"])
def test_everything_fits(text: str) -> None:
    """Whatever a text is, what is made of it is within the limit, encodable and what the client itself accepts."""
    for limit in (TAG, JOB_TYPE, NAME):
        label = fit_label(text, limit)
        assert label is None or 0 < len(label.encode()) <= limit
        assert label is None or label.isprintable() or "�" in label
    tags = fit_tags([text, text])
    assert len(tags) == (1 if text.strip() else 0)
    name, project = fit_name(text), fit_project(text or "x")
    validate_artifact_name(name)
    assert 0 < len(name) <= ARTIFACT
    assert len(project.encode()) <= PROJECT
    validate_project_name(project or "x")
    run_id = fit_name(text, RUN_ID)
    wandb.Settings(run_tags=tags, project=project or "x", run_id=run_id)
    # What the client names a table's artifact, with a sum behind it.
    assert len(f"run-{run_id}-{fit_key('figures', text, run_id)}-ABCDEF") <= ARTIFACT
    assert len(fit_text(text, 100).encode()) <= 100


def test_what_fits_stays_as_it_is() -> None:
    """Ordinary names are not touched."""
    for text in ("lr-ablation", "a" * 64, "tiny.txt", "Läuft"):
        assert fit_label(text, TAG) == text
    assert fit_name("corpus-tiny.txt") == "corpus-tiny.txt"
    assert fit_project("my project") == "my project"
    assert fit_text("a text\nof two lines", VALUE) == "a text\nof two lines"


def test_different_texts_stay_different() -> None:
    """Long names with one beginning, and names that differ in what can't be kept only."""
    for one, other in (("s" * 90 + "1", "s" * 90 + "2"), ("é" * 90 + "1", "é" * 90 + "2")):
        assert fit_label(one, TAG) != fit_label(other, TAG)
        assert fit_name(one, RUN_ID) != fit_name(other, RUN_ID)
    assert fit_name("a b") != fit_name("a:b") != fit_name("a-b")


def test_a_filter_finds_what_was_shortened() -> None:
    """`report --from wandb: --tag` takes the tag as it was given and as it stands in W&B."""
    assert name_labels(["quick"], TAG) == ["quick"]
    assert name_labels(["s" * 90], TAG) == ["s" * 90, fit_label("s" * 90, TAG)]


def test_values_of_any_depth_can_be_encoded() -> None:
    """Halves of surrogate pairs are replaced wherever they stand; all else is kept."""
    value = {"a\ud800": [1, None, "b\udcff", {"c": ("d", "é")}]}
    assert fit_value(value) == {"a�": [1, None, "b�", {"c": ["d", "é"]}]}


def test_a_long_text_says_that_it_was_cut() -> None:
    """A text of two megabytes goes as one that says so."""
    text = fit_text("é" * VALUE, VALUE)
    assert len(text.encode()) <= VALUE
    assert text.endswith(f" … (cut for W&B, {VALUE:,} characters)")


def test_an_error_of_the_client_is_one_line() -> None:
    """pydantic's page about a setting is one line with what is wrong."""
    with pytest.raises(ValueError, match="run_tags") as caught:
        wandb.Settings(run_tags=["a" * 70, ""])
    line = explain_client_error(caught.value)
    assert "\n" not in line
    assert line.startswith("run_tags: ")
    assert "between 1 and 64 characters" in line
    assert "pydantic" not in line
    assert explain_client_error(RuntimeError("first\nsecond")) == "first"
    assert explain_client_error(TimeoutError()) == "TimeoutError"
