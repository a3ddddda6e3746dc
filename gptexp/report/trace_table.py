"""One sentence as the examples that it trains, one row for each."""

from __future__ import annotations

import pandas as pd

from gptexp.data.tokenizer import load_gpt2_tokenizer
from gptexp.data.trace import trace_text
from gptexp.report.tables import Cell, Column, Table

SENTENCE = "The cat sat on the mat"


def trace_sentence() -> Table:
    """Every prediction that `SENTENCE` trains."""
    trace = trace_text(SENTENCE, load_gpt2_tokenizer())
    shown = [token.replace(" ", "·") for token in trace.tokens]
    rows, records = [], []
    for position, (context, target) in enumerate(trace.pairs):
        given, wanted = "".join(shown[: position + 1]), shown[position + 1]
        input_id, target_id = trace.ids[position : position + 2]
        ids = (Cell(f"#{input_id}", input_id), Cell(f"#{target_id}", target_id))
        rows.append((Cell(str(position), position), Cell(given, given), ids[0], Cell(wanted, wanted), ids[1]))
        records.append([position, "".join(context), target, input_id, target_id])
    columns = (
        Column("position"),
        Column("the model has seen", numeric=False),
        Column("token id"),
        Column("and must predict", numeric=False),
        Column("its id"),
    )
    caption = (
        f"“{SENTENCE}” is {len(trace.ids)} tokens and {len(trace.pairs)} predictions, all trained in one forward pass. "
        "Positions count from 0. The input is every token but the last, the target every token but the first; · is a "
        "space, which belongs to the token behind it."
    )
    data = pd.DataFrame(records, columns=["position", "context", "target", "input_id", "target_id"])
    return Table("trace", "Every prediction that one sentence trains", caption, columns, tuple(rows), data, ())
