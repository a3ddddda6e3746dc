"""gptexp: named studies of GPT pretraining, and the evidence that they leave."""

__version__ = "0.1.0"

ENGINE_VERSION = 3
"""Raised whenever a change to the engine changes any recorded number. Part of every run id.

2: the loss in blocks of the vocabulary, clipping inside AdamW.
3: evaluations count windows instead of training batches,
samples keep keys and values, the loss in blocks computes in bf16 too, attention in bf16
is a few matrix products, `auto` is measured.
"""

LATER_FIELDS = {
    "compile": False,
    "sampler": "random",
    "optimizer": "adamw",
    "step_metrics": [],
    "metrics_interval": 10,
}
"""Config fields that came after there were runs, with what runs had before; at that value they don't enter a run id."""
DECIDE_NOTHING = {"checkpoint_interval"}
"""Config fields that change no number: runs that differ only there are the same run, and studies the same study."""

PYTHON_INTERFACE = ("load_records", "load_runs", "run_study")
"""Functions of `gptexp.api`, which imports pandas: they are looked up when somebody asks for them."""


def __getattr__(name: str) -> object:
    if name in PYTHON_INTERFACE:
        from gptexp import api

        return getattr(api, name)
    raise AttributeError(f"module 'gptexp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *PYTHON_INTERFACE])
