"""Texts in the notebook: what the lesson says, what a sentence trains, and what a model writes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from gptexp.claims.ledger import load_ledger
from gptexp.data.tokenizer import Tokenizer
from gptexp.data.trace import trace_text
from gptexp.errors import GptexpError, did_you_mean
from gptexp.report.palette import GRID, MUTED
from gptexp.report.samples import make_visible

LEDGER = "pretraining"


def quote_lesson(*names: str) -> None:
    """Print what the lesson says, word for word where it stands, and what is meant.

    Args:
        names: claims of the lesson, as `gptexp claims` lists them.

    Raises:
        GptexpError: there is no claim of that name.
    """
    claims = {claim.name: claim for claim in load_ledger(LEDGER).claims}
    for name in names:
        if name not in claims:
            raise GptexpError(f"the lesson makes no claim {name!r}{did_you_mean(name, claims)}")
        print(f"The lesson says: “{claims[name].places[0].quote}”\n  that is: {claims[name].says}")


def show_predictions(text: str, tokenizer: Tokenizer) -> int:
    """Print every prediction that a text trains, one a line; returns how many there are."""
    trace = trace_text(text, tokenizer)
    print(f"{len(trace.ids)} tokens: {' '.join(repr(token) for token in trace.tokens)}")
    for context, target in trace.pairs:
        print(f"  {''.join(context)!r} -> {target!r}")
    return len(trace.pairs)


class Samples:
    """What a model wrote on its way, beside its loss at the time, as a notebook shows it."""

    def __init__(self, samples: Sequence[tuple[int, float, str]]) -> None:
        """
        Args:
            samples: (step, val loss in nats per token, text).
        """
        self._samples = [(f"step {step:,}", f"val loss {loss:.2f}", make_visible(text)) for step, loss, text in samples]

    def __repr__(self) -> str:
        return "\n".join(f"--- {step}, {loss}\n{text}" for step, loss, text in self._samples)

    def _repr_html_(self) -> str:
        boxes = "".join(
            f'<div style="border:1px solid {GRID};border-radius:6px;padding:8px 12px;margin:6px 0;max-width:820px">'
            f'<div style="color:{MUTED}">{escape(step)} · {escape(loss)}</div>'
            f'<div style="white-space:pre-wrap;font-family:monospace;margin-top:4px">{escape(text)}</div></div>'
            for step, loss, text in self._samples
        )
        return f"<div>{boxes}</div>"
