"""The command trace: the tokens of a text and the predictions that they train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gptexp.cli.console import make_console
from gptexp.cli.options import json_option, print_json
from gptexp.errors import GptexpError

if TYPE_CHECKING:
    from gptexp.data.tokenizer import Tokenizer
    from gptexp.data.trace import Trace

LONGEST = 1024
"""Largest number of tokens: GPT-2's context, the longest sequence that it can train on."""
SPACE = "·"
STYLES = ("cyan", "magenta")
"""Neighbouring tokens alternate between these colours, so that their boundaries are visible."""
PAIR_FRAME = 30
"""Columns reserved in each row for the number, the arrow, the target and the gaps."""


@click.command("trace")
@click.argument("text")
@click.option(
    "--tokenizer",
    "tokenizer_name",
    type=click.Choice(["gpt2", "char"]),
    default="gpt2",
    show_default=True,
    help="GPT-2's byte pairs, or one token per character.",
)
@json_option
def trace_command(text: str, tokenizer_name: str, as_json: bool) -> None:
    """Show the tokens of TEXT and every prediction that it trains.

    \b
    Examples:
      gptexp trace "The cat sat on the mat"
      gptexp trace "To be" --tokenizer char
      gptexp trace "The cat sat on the mat" --json
    """
    from gptexp.data.tokenizer import char_tokenizer, load_gpt2_tokenizer
    from gptexp.data.trace import trace_text

    if not text:
        raise GptexpError("the text is empty and a prediction needs at least 2 tokens; give it a longer text")
    tokenizer = load_gpt2_tokenizer() if tokenizer_name == "gpt2" else char_tokenizer(text)
    if (n_tokens := len(tokenizer.encode(text))) > LONGEST:
        raise GptexpError(
            f"the text is {n_tokens:,} tokens and a sequence of GPT-2 holds at most {LONGEST:,}; give it a shorter one"
        )
    trace = trace_text(text, tokenizer)
    if as_json:
        print_json("gptexp.trace/1", describe_trace(text, trace, tokenizer))
    else:
        print_trace(trace, tokenizer, make_console())


def describe_trace(text: str, trace: Trace, tokenizer: Tokenizer) -> dict[str, Any]:
    """The trace as JSON-like data. A context is all tokens up to a position; the target is the next token."""
    return {
        "text": text,
        "tokenizer": tokenizer.name,
        "vocab_size": tokenizer.vocab_size,
        "n_tokens": len(trace.ids),
        "n_predictions": len(trace.pairs),
        "tokens": [{"id": i, "token": token} for i, token in zip(trace.ids, trace.tokens, strict=True)],
        "pairs": [
            {
                "context": list(context),
                "context_ids": list(trace.ids[: len(context)]),
                "target": target,
                "target_id": trace.ids[len(context)],
            }
            for context, target in trace.pairs
        ],
    }


def print_trace(trace: Trace, tokenizer: Tokenizer, console: Console) -> None:
    """Print the tokens above their ids, one row per prediction, and a summary."""
    n_tokens, n_predictions = len(trace.ids), len(trace.pairs)
    console.print(Text.assemble((f"{n_tokens} tokens", "bold"), f" ({tokenizer.name}), a space shown as {SPACE}"))
    console.print()
    for row in token_rows(trace, console.width - 2):
        console.print(Padding(row, (0, 0, 1, 2), expand=False))
    predictions = f"{n_predictions} prediction{'s' * (n_predictions != 1)}"
    console.print(Text.assemble((predictions, "bold"), ", context → next token"))
    console.print()
    console.print(Padding(pair_table(trace, console.width - PAIR_FRAME), (0, 0, 0, 2), expand=False))
    console.print()
    console.print(
        f"{n_tokens} tokens train {n_predictions} prediction{'s' * (n_predictions != 1)} in one forward pass: every "
        "position but the last predicts the token after it, and the causal mask hides what follows."
    )
    if tokenizer.name == "char":
        console.print("Ids number the distinct characters of this text; in a run they number those of its corpus.")


def token_rows(trace: Trace, width: int) -> list[Table]:
    """Tokens above their ids, split into rows of at most `width` columns."""
    rows: list[list[int]] = [[]]
    used = 0
    for position, i in enumerate(trace.ids):
        need = max(Text(trace.tokens[position]).cell_len, len(str(i))) + 2
        if rows[-1] and used + need > width:
            rows.append([])
            used = 0
        rows[-1].append(position)
        used += need
    tables = []
    for positions in rows:
        table = Table.grid(padding=(0, 2, 0, 0))
        for _ in positions:
            table.add_column(no_wrap=True)
        table.add_row(*(show_token(trace.tokens[p], p) for p in positions))
        table.add_row(*(Text(str(trace.ids[p]), style="dim") for p in positions))
        tables.append(table)
    return tables


def pair_table(trace: Trace, width: int) -> Table:
    """One row per prediction. A context wider than `width` columns is cut at its beginning."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="dim")
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    table.add_column(no_wrap=True)
    for number, (context, target) in enumerate(trace.pairs, start=1):
        table.add_row(str(number), show_context(context, width), "→", show_token(target, len(context)))
    return table


def show_context(context: Sequence[str], width: int) -> Text:
    """The last tokens of a context that fit into `width` columns, separated by gaps."""
    shown: list[Text] = []
    used = 0
    for position in range(len(context) - 1, -1, -1):
        token = show_token(context[position], position)
        used += token.cell_len + 1
        if shown and used > width:
            shown.append(Text("…", style="dim"))
            break
        shown.append(token)
    return Text(" ").join(reversed(shown))


def show_token(token: str, position: int) -> Text:
    """A token with its spaces visible, coloured by its position."""
    return Text(token.replace(" ", SPACE), style=STYLES[position % 2])
