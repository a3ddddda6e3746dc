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
    for position, (context, target) in enumerate(trace.pairs, 1):
        given, wanted = "".join(shown[:position]), shown[position]
        rows.append((Cell(str(position), position), Cell(given, given), Cell(wanted, wanted)))
        records.append([position, "".join(context), target, trace.ids[position - 1], trace.ids[position]])
    columns = (
        Column("position"),
        Column("the model has seen", numeric=False),
        Column("and must predict", numeric=False),
    )
    caption = (
        f"“{SENTENCE}” is {len(trace.ids)} tokens and {len(trace.pairs)} predictions, all trained in one forward pass. "
        "The input is every token but the last, the target every token but the first; · is a space, which belongs to "
        "the token behind it."
    )
    data = pd.DataFrame(records, columns=["position", "context", "target", "input_id", "target_id"])
    return Table("trace", "Every prediction that one sentence trains", caption, columns, tuple(rows), data, ())
