"""gptexp: named studies of GPT pretraining, and the evidence that they leave."""

import importlib

from gptexp.version import __version__ as __version__

PYTHON_INTERFACE = ("load_records", "load_runs", "run_study")
"""Functions of `gptexp.api`, which imports pandas: they are looked up when somebody asks for them."""


def __getattr__(name: str) -> object:
    if name in PYTHON_INTERFACE:
        return getattr(importlib.import_module("gptexp.api"), name)
    raise AttributeError(f"module 'gptexp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *PYTHON_INTERFACE])
