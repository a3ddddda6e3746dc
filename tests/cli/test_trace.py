from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import Call

SENTENCE = "The cat sat on the mat"


def test_every_input_target_pair_is_shown(call: Call) -> None:
    """The sentence's 6 tokens stand over their ids, and each of the 5 predictions has a row."""
    lines = [line.strip() for line in call("trace", SENTENCE).out.splitlines()]
    tokens = lines.index("The  ·cat  ·sat  ·on  ·the  ·mat")
    assert lines[tokens + 1].split() == ["464", "3797", "3332", "319", "262", "2603"]
    rows = [line.split("→") for line in lines if "→" in line and "next token" not in line]
    assert [(context.split(), target.strip()) for context, target in rows] == [
        (["1", "The"], "·cat"),
        (["2", "The", "·cat"], "·sat"),
        (["3", "The", "·cat", "·sat"], "·on"),
        (["4", "The", "·cat", "·sat", "·on"], "·the"),
        (["5", "The", "·cat", "·sat", "·on", "·the"], "·mat"),
    ]
    assert any(line.startswith("6 tokens train 5 predictions in one forward pass") for line in lines)


def test_json_has_contexts_and_targets_as_ids(call: Call) -> None:
    """A script gets every pair with its tokens and ids, spaces as they are."""
    trace = call("trace", SENTENCE, "--json").json()
    assert (trace["n_tokens"], trace["n_predictions"]) == (6, 5)
    assert trace["pairs"][1] == {
        "context": ["The", " cat"],
        "context_ids": [464, 3797],
        "target": " sat",
        "target_id": 3332,
    }


def test_characters_are_tokens_of_the_char_tokenizer(call: Call) -> None:
    """With --tokenizer char each character is a token, numbered among the characters of the text."""
    trace = call("trace", "abba", "--tokenizer", "char", "--json").json()
    assert [token["id"] for token in trace["tokens"]] == [0, 1, 1, 0]
    assert "distinct characters of this text" in call("trace", "abba", "--tokenizer", "char").out


@pytest.mark.parametrize("columns", [40, 80])
def test_no_line_is_wider_than_the_terminal(columns: int, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text keeps within the width: tokens go on in a further row, contexts lose their beginning."""
    monkeypatch.setenv("COLUMNS", str(columns))
    text = " ".join(f"word{n}" for n in range(40))
    command = [sys.executable, "-m", "gptexp", "trace", text]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= columns
    last = [line for line in lines if "→" in line and line.strip()[:1].isdigit()][-1]
    assert "…" in last
    assert last.split("→")[0].split()[-1] == "·word"
    assert last.split("→")[1].strip() == "39"


def test_control_characters_are_escaped(call: Call) -> None:
    """No text can steer the terminal, whichever way it is printed."""
    for option in ([], ["--json"]):
        assert "\x1b" not in call("trace", "a\x1b[31m red", *option).out


def test_markup_is_text(call: Call) -> None:
    """Square brackets are tokens, not colours."""
    assert "[bold" in call("trace", "x [bold] y").out.replace(" ", "")


def test_a_text_beyond_the_context_is_refused(call: Call) -> None:
    """A text that no sequence of GPT-2 holds is refused with its number of tokens."""
    reply = call("trace", "hello " * 1100)
    assert reply.status == 2
    assert "1,024" in reply.sentences()[0]
