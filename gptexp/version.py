"""The version of the package, and what decides whether two runs are the same run."""

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
    "world_size": 1,
    "init_from": None,
}
"""Config fields that came after there were runs, with what runs had before; at that value they don't enter a run id."""
DECIDE_NOTHING = {"checkpoint_interval"}
"""Config fields that change no number: runs that differ only there are the same run, and studies the same study."""
