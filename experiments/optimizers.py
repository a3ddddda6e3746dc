"""Which optimizer gets furthest, each at its own best rate?

Question    AdamW, Adam, SGD with momentum and Muon on the same model and text: which final loss does each reach?
Hypothesis  Muon and AdamW lead, and SGD stays far behind: the gradients of a transformer's parts differ in scale by
            orders of magnitude, and SGD has one rate for all of them.
Source      Lesson "Pretraining", aside on AdamW (the default for transformers); Jordan et al. 2024 (Muon); Zhang et
            al., arXiv 2402.16788 (why transformers need Adam).
Command     gptexp run optimizers --scale char
Time        quick: 8 minutes on two cores; char: 17 minutes a seed (a step with Muon takes a third longer than one with
            AdamW there); lesson: more than four hours on one GPU (by the runs of lr-ladder, not measured).
Expect      Written before any run. char: Muon ends lowest, by 0.02 to 0.1 nats under AdamW; Adam within 0.02 of AdamW;
            SGD more than 0.2 above. The best rates are 3e-3 of AdamW, Adam and Muon, and 0.3 of SGD.

No rate is fair to all: each optimizer has a grid of four, half a decade apart, and is compared by its best arm. A best
rate at the end of its grid says that the grid is too narrow. Muon takes the rates of AdamW, for its steps are scaled to
be as long. Weight decay isn't the same thing in all four, either: AdamW and Muon take 0.1 of the rate from a weight,
Adam and SGD have an L2 penalty in the gradient, usual at 1e-4 (`adam-or-adamw` shows what 0.1 does there).
"""

from gptexp.studies.study import Arm, Study

RATES = ("3e-4", "1e-3", "3e-3", "1e-2")
GRIDS = {
    "adamw": ("AdamW", 0.1, RATES),
    "adam": ("Adam", 1e-4, RATES),
    "sgd": ("SGD", 1e-4, ("0.03", "0.1", "0.3", "1")),
    "muon": ("Muon", 0.1, RATES),
}
"""Optimizer -> how it is called, its weight decay, its rates."""

STUDY = Study(
    name="optimizers",
    question="Which final loss does each optimizer reach at its own best rate?",
    hypothesis="Muon and AdamW lead, and SGD stays far behind.",
    source="Pretraining, aside on AdamW",
    arms=tuple(
        Arm(f"{name}-{rate}", f"{label}, {rate}", {"optimizer": name, "weight_decay": decay, "lr": float(rate)})
        for name, (label, decay, rates) in GRIDS.items()
        for rate in rates
    ),
    settings={"schedule": "warmup-cosine"},
)
