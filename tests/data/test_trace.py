from __future__ import annotations

import pytest

from gptexp.data.tokenizer import char_tokenizer, load_gpt2_tokenizer
from gptexp.data.trace import trace_text
from gptexp.errors import GptexpError


def test_every_position_predicts_its_next_token() -> None:
    """The lesson's sentence is 6 tokens and trains 5 predictions, each from all tokens before it."""
    trace = trace_text("The cat sat on the mat", load_gpt2_tokenizer())
    assert trace.ids == (464, 3797, 3332, 319, 262, 2603)
    assert trace.tokens == ("The", " cat", " sat", " on", " the", " mat")
    assert len(trace.pairs) == 5
    assert trace.pairs[0] == (("The",), " cat")
    assert trace.pairs[-1] == (("The", " cat", " sat", " on", " the"), " mat")


def test_tokens_are_safe_to_print() -> None:
    """Half a character is shown by its bytes, and no control character reaches the terminal."""
    assert trace_text("é🙂\n\x1b", load_gpt2_tokenizer()).tokens == ("é", r"\xf0\x9f", r"\x99\x82", r"\n", r"\x1b")


@pytest.mark.parametrize(("text", "count"), [("", "0 tokens"), ("a", "1 token ")])
def test_a_prediction_needs_two_tokens(text: str, count: str) -> None:
    """Shorter text is refused with its number of tokens."""
    with pytest.raises(GptexpError, match=count):
        trace_text(text, char_tokenizer("a"))
