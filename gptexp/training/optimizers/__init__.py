"""Optimizers by name. A new one is a file beside this one, and a line in the table.

What a name stands for is called with the model and the config, and gives a `torch.optim.Optimizer` that holds the
parameters. The loop does the rest (`gptexp.training.optimizer`): it sets the rate of every step, clips, and takes no
step where a number isn't finite. For a run to go on exactly, all that an optimizer remembers has to be tensors in its
`state`, by parameter: that is what a checkpoint holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptexp.registry import Registry

if TYPE_CHECKING:
    # Configs are checked against the names, and torch takes seconds to import.
    from gptexp.training.optimizer import BuildOptimizer

OPTIMIZERS: Registry[BuildOptimizer] = Registry(
    "optimizer",
    "gptexp.optimizers",
    {
        "adamw": "gptexp.training.optimizers.adamw:AdamW",
        "adam": "gptexp.training.optimizers.adam:Adam",
        "sgd": "gptexp.training.optimizers.sgd:SGD",
        "muon": "gptexp.training.optimizers.muon:Muon",
    },
)
