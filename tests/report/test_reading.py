"""The page for readers: what its parts may name, and how sure its sentences are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gptexp.errors import GptexpError
from gptexp.report.declare import Chapter, Exhibit, Guess, Part, Report, Reveal, Said, Shown, Text
from gptexp.report.reading import Sources, _say_how_sure, fill_reading

NOTHING = Sources({}, {}, {})


def make_report(*items: Any) -> Report:
    chapters = (Chapter("one", "One", (Exhibit("trace"), Exhibit("results", "lr-ablation"))),)
    return Report("r", "R", chapters, reading=(Part("p", "P", items),))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (Shown("trac"), "shows the exhibit 'trac'; there is none; did you mean trace"),
        (Shown("trace", tool="curve"), "shows the tool 'curve'; there is none; did you mean curves"),
        (Said("no-such-claim", Text("x")), "asserts 'no-such-claim', which is no claim"),
        (Text("{lr-ablation:a:no_such_measure}"), "the text quotes"),
    ],
)
def test_a_name_that_there_is_none_of_is_one_sentence(item: Any, message: str) -> None:
    """A mistyped exhibit, tool, claim or measure is named; nothing vanishes silently from the page."""
    with pytest.raises(GptexpError, match=message):
        fill_reading(make_report(item), NOTHING)


def test_what_the_records_lack_is_left_out() -> None:
    """A declared exhibit without data, a guess without its number and a question without an answer are not shown."""
    reading = fill_reading(
        make_report(
            Shown("lr-ablation-results"),
            Reveal("Which?", (Text("{lr-ablation:a:final_val_loss}"),)),
            Reveal("How many?", (Text("Five."),), Guess("Guess:", "{lr-ablation:a:final_val_loss}")),
            Reveal("And here?", (Text("Six."),), Guess("Guess:", "6")),
        ),
        NOTHING,
    )
    assert reading is not None
    (part,) = reading.parts
    first, second = part.items
    assert "How many?" in first
    assert "<form" not in first
    assert 'data-value="6.0"' in second
    assert reading.minutes == 1
    assert fill_reading(Report("r", "R", ()), NOTHING) is None


@pytest.mark.parametrize(
    ("verdict", "n", "holds", "words"),
    [
        ("confirmed", 3, True, "It holds: 3 seeds say so."),
        ("refuted", 1, False, "It does not hold: one run in which it did not happen is enough."),
        ("underpowered", 1, False, "One run says no; a verdict takes 3 seeds."),
        ("underpowered", 2, None, "It is open; a verdict takes 3 seeds."),
        ("not measured", 4, True, "4 seeds say yes, on a smaller model; on the lesson's own it was not measured."),
        ("not measured", 0, None, "Not measured yet."),
    ],
)
def test_a_verdict_in_a_sentence(verdict: str, n: int, holds: bool | None, words: str) -> None:
    """Whether the sentence holds, how many runs say so, and where they point when it isn't decided."""
    judgement: Any = SimpleNamespace(
        verdict=verdict,
        claim=SimpleNamespace(is_computed=False),
        measured=SimpleNamespace(n=n, holds=holds, happened=0),
    )
    assert _say_how_sure(judgement) == words
    computed: Any = SimpleNamespace(verdict="confirmed", claim=SimpleNamespace(is_computed=True), measured=None)
    assert _say_how_sure(computed) == "It holds, computed."
