"""Sentences are found where they stand, in every kind of file, and code is no prose."""

from __future__ import annotations

import contextlib
import time

import pytest

from gptexp.errors import GptexpError
from gptexp.lint.prose import read_sentences

MDX = """---
title: The loss is 9.9
---
import { Chart } from './chart'

# Training at 6e-4

The first loss is **10.8**. It falls.
- A rate of `6e-4`
  explodes.

```python
lr = 1.5  # the loss is 1.5
```

<Chart data={[1.5, 2.5]} title="x" /> After the chart.
| step | loss is 4.0 |
"""
TSX = """import React from 'react'
const rate = 6e-4 // a constant rate of 6e-4 explodes at step 300
export function Lesson({ loss = 10.8 }) {
  const note = 'The first loss is about 10.8 nats'
  return (
    <Section title="GPT">
      <p>
        A constant 6e-4 explodes {loss} at step 300.
      </p>
      {/* the loss is 1.1 */}
    </Section>
  )
}
"""
HTML = "<style>a { loss: 1.1 }</style><p>The first loss\nis <b>10.8</b>.</p><script>var loss = 2.2</script>"


def read(text: str, suffix: str) -> list[tuple[int, str]]:
    return [(sentence.line, sentence.text) for sentence in read_sentences(text, suffix)]


def test_markdown_with_components() -> None:
    """Headings, paragraphs, items and cells; no front matter, code block, import, tag or expression."""
    assert read(MDX, ".mdx") == [
        (6, "Training at 6e-4"),
        (8, "The first loss is 10.8 ."),
        (8, "It falls."),
        (9, "A rate of 6e-4 explodes."),
        (16, "After the chart."),
        (17, "step"),
        (17, "loss is 4.0"),
    ]


def test_react() -> None:
    """Text between tags, and strings of several words; no code and no comment."""
    assert read(TSX, ".tsx") == [
        (4, "The first loss is about 10.8 nats"),
        (8, "A constant 6e-4 explodes at step 300."),
    ]


def test_html() -> None:
    """Text without tags, style and script; a line break is a space."""
    assert read(HTML, ".html") == [(1, "The first loss is 10.8 .")]


@pytest.mark.parametrize(
    "bound",
    [
        '<Claim id="initial-loss">The first loss\nis 10.8. So be it.</Claim>',
        "<Claim className='x' id={'initial-loss'}>The first loss\nis <b>10.8.</b> So be it.</Claim>",
        "<!-- claim: initial-loss -->The first loss\nis 10.8. So be it.<!-- /claim -->",
        "{/* claim: initial-loss */}The first loss\nis 10.8. So be it.{/* /claim */}",
    ],
)
def test_a_bound_passage_is_one_sentence(bound: str) -> None:
    """A tag or two comments bind a passage of any length; what stands around it is read as before."""
    before, passage, after = read_sentences(f"Before this.\n\n{bound}\n\nAfter that.", ".mdx")
    assert (before.text, after.text) == ("Before this.", "After that.")
    assert (passage.claim, passage.expects, passage.line) == ("initial-loss", None, 3)
    assert passage.text == "The first loss is 10.8. So be it."


@pytest.mark.parametrize(
    "bound",
    [
        '<Claim id="a" verdict="refuted">Not so.</Claim>',
        "<!-- claim: a refuted -->Not so.<!-- /claim -->",
        "{/* claim: a refuted */}Not so.{/* /claim */}",
    ],
)
def test_a_denial_says_which_verdict_it_expects(bound: str) -> None:
    """The author may say that a claim is refuted."""
    (passage,) = read_sentences(bound, ".mdx")
    assert (passage.claim, passage.expects) == ("a", "refuted")


@pytest.mark.parametrize(
    ("text", "suffix", "sentence"),
    [
        ("a\n\n<Claim id='a'>never closed", ".mdx", "line 3 binds a passage to a claim and never ends it"),
        ("<!-- claim: a -->never closed", ".md", "line 1 binds a passage to a claim and never ends it"),
        (
            "<Claim id='a'>x\n<Claim id='b'>y</Claim></Claim>",
            ".mdx",
            "line 2 binds a passage inside the one that line 1",
        ),
        ("<Claim>of nothing</Claim>", ".mdx", "line 1 binds a passage and names no claim"),
        ("<!-- claim: -->of nothing<!-- /claim -->", ".md", "names no claim"),
        ('<Claim id="a" verdict="maybe">x</Claim>', ".mdx", "expects the verdict 'maybe'"),
        ("text", ".docx", r"a file \.docx can't be read; expected one of \.md"),
        ("text", "", "a file without a suffix"),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, suffix: str, sentence: str) -> None:
    """An open passage, a missing name, an unknown verdict and another kind of file are named."""
    with pytest.raises(GptexpError, match=sentence):
        read_sentences(text, suffix)


def test_line_breaks_of_windows_and_a_byte_order_mark() -> None:
    """What is prose in a file doesn't depend on how its lines end, nor on a mark at its beginning."""
    assert read("\ufeff" + MDX.replace("\n", "\r\n"), ".mdx") == read(MDX, ".mdx")
    assert read(MDX.replace("\n", "\r"), ".mdx") == read(MDX, ".mdx")


def test_an_example_binds_nothing() -> None:
    """A passage that shows in code how to bind is no binding, and its open tag is no mistake."""
    text = 'Write `<Claim id="NAME">`:\n\n```html\n<Claim id="NAME">the loss is 2.2</Claim>\n```\n\nThen go on.\n'
    found = read_sentences(text, ".md")
    assert [(one.claim, one.text) for one in found] == [(None, 'Write Claim id="NAME" :'), (None, "Then go on.")]


@pytest.mark.parametrize("suffix", [".md", ".html", ".tsx"])
def test_entities_are_characters(suffix: str) -> None:
    """An entity is what a browser shows, and the digits of its code are no number of the text."""
    ((_, text),) = read("<p>The loss fell by &minus;0.5 &#128512; to&nbsp;10.8 nats</p>", suffix)
    assert " ".join(text.split()) == "The loss fell by −0.5 😀 to 10.8 nats"


def test_addresses_are_no_prose() -> None:
    """The digits of an address are no numbers, with a title or as a reference either."""
    ((_, text), *rest) = read('The [loss](/a/3.14159 "a title") falls.\n\n[1]: /b/2.71828\n', ".md")
    assert text == "The [loss falls."
    assert rest == []


@pytest.mark.parametrize("suffix", [".mdx", ".tsx"])
@pytest.mark.parametrize(
    "piece",
    [
        " ",
        "<!--",
        "{/*",
        "<pre>",
        "<pre></pre",
        '<Claim id="x">',
        "<!-- claim:",
        "](",
        "[a",
        "`a",
        "&a",
        ". ",
        "\n",
        "| ",
    ],
)
def test_no_text_takes_long(suffix: str, piece: str) -> None:
    """A hundred thousand times the same piece is read in seconds: nothing takes time by the square of the length."""
    start = time.process_time()
    with contextlib.suppress(GptexpError):
        read_sentences(f"a{piece * 100_000}b", suffix)
    assert time.process_time() - start < 5
