"""Paraphrases are recognised, and sentences that only use the same words are not; so are numbers, however written."""

from __future__ import annotations

import pytest

from gptexp.claims.ledger import load_ledger
from gptexp.lint.match import Matcher
from gptexp.lint.numbers import read_numbers, write_like

MATCHER = Matcher(load_ledger("pretraining").claims)


@pytest.mark.parametrize(
    ("sentence", "claim"),
    [
        ("A constant learning rate of 6e-4 blows up at step 300: the loss becomes NaN.", "constant-6e-4-explodes"),
        ("The first loss of an untrained model is about 10.8.", "initial-loss-is-10.8"),
        ("A constant rate of 1e-5 crawls and reaches a loss of only 4.3 at step 10,000.", "constant-1e-5-at-10000"),
        ("Warmup plus cosine decay reaches a loss of 2.0.", "schedule-reaches-2"),
        ("AdamW applies weight decay directly to the parameters.", "adamw-decouples-decay"),
        ("At step 500 the loss is 4.0.", "loss-at-step-500"),
        ("The GPT loop has 3-4 more lines than the MNIST loop.", "extra-lines"),
        ("Use `itertools.cycle`, which is the right pattern for an endless train iterator.", "cycle-is-right"),
        ('"The cat sat on the mat" gives 6 prediction tasks.', "six-predictions"),
    ],
)
def test_a_paraphrase_is_recognised(sentence: str, claim: str) -> None:
    """Other words and another order are the same claim."""
    assert [one.name for one in MATCHER.find(sentence)] == [claim]


@pytest.mark.parametrize(
    "sentence",
    [
        "With fp32 a single GPU is slow.",
        "We load the text and build a DataLoader.",
        "The optimizer is AdamW with betas of 0.9 and 0.95.",
        "Our dataset has 338,025 tokens.",
        "Validation loss is computed on held-out text.",
        "The learning rate rises during warmup.",
        "Loss 3.0 was reached after two minutes.",
        "A constant rate of 3e-3 blows up at step 300: the loss becomes NaN.",
        "4-3-2-pretraining.ipynb",
        "0",
    ],
)
def test_the_same_words_are_not_the_same_claim(sentence: str) -> None:
    """Talk about the same things states nothing; another learning rate is another experiment."""
    assert MATCHER.find(sentence) == []


@pytest.mark.parametrize(
    ("text", "value", "half_unit"),
    [
        ("6e-4", 6e-4, 5e-5),
        ("50,257", 50257, 0.5),
        ("~10.8", 10.8, 0.05),
        ("124M", 124e6, 5e5),
        ("124.4 million", 124.4e6, 5e4),
        ("2 thousand", 2000, 500),
        ("1e+5", 1e5, 5e4),
        ("−0.25", -0.25, 0.005),
        ("30%", 30, 0.5),
    ],
)
def test_numbers_are_read_with_their_precision(text: str, value: float, half_unit: float) -> None:
    """Exponents, thousands, signs, units, and half a unit of the last digit."""
    (number,) = read_numbers(text)
    assert number.value == pytest.approx(value)
    assert number.half_unit == pytest.approx(half_unit)


def test_only_numbers_are_numbers() -> None:
    """Parts of names are none, and a checksum that looks like a huge one is none."""
    assert [number.text for number in read_numbers("GPT2 and x1 at 12e999, v3.1.4, step 5, (3)")] == ["5", "3"]


def test_a_number_is_rounded_as_it_is_written() -> None:
    """10.94 is 10.937, 10.9 is too, 10.93 is not; 124M is 124.4 million and 124.4 in millions."""
    right, short, wrong, millions = read_numbers("10.94 10.9 10.93 124M")
    assert right.equals(10.937)
    assert short.equals(10.937)
    assert not wrong.equals(10.937)
    assert millions.equals(124.4)
    assert millions.equals(124.4e6)
    assert not millions.equals(125)


def test_a_number_without_a_unit_stands_for_itself() -> None:
    """10,940 tokens are no loss of 10.94, and 124,400,000 parameters no 124.4."""
    tokens, parameters = read_numbers("10,940 tokens and 124,400,000 parameters")
    assert not tokens.equals(10.94)
    assert not parameters.equals(124.4)
    assert parameters.equals(124.4e6)


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [("10.85", 10.937, "10.94"), ("6e-4", 3.2e-4, "3e-4"), ("1,500", 2048.4, "2,048"), ("124.0M", 124.44e6, "124.4")],
)
def test_a_new_number_is_written_like_the_old_one(old: str, value: float, new: str) -> None:
    """As many digits, and the same notation."""
    assert write_like(value, read_numbers(old)[0]) == new


def test_units_and_endless_numbers_are_no_error() -> None:
    """A small m is a unit like M, and a number too long to be one is passed over."""
    (number,) = read_numbers("a loss of 31m")
    assert (number.text, number.value) == ("31", 31e6)
    assert read_numbers("0." + "1" * 400 + " and " + "9" * 5000 + " and 1e999999") == []
