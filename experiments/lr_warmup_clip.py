"""Does warmup or clipping allow a higher learning rate?

Question    Final loss against the peak rate from 3e-4 to 3e-2 in half decades: warmup or none, clipping or none.
Hypothesis  Each extends the range of good rates upwards; runs with neither diverge or stay high at the lowest rates.
Source      Lesson "Pretraining", misconception 3 and section "Gradient Clipping"; arXiv 2406.09405, 2410.23922 (warmup
            buys a higher peak rate), 2309.14322 (LR sensitivity).
Command     gptexp run lr-warmup-clip --scale char --seeds 5
Time        char: 50 minutes a seed on one core; quick: 15 minutes on two; lesson: an hour a seed on one GPU.
Expect      char, five seeds, final val loss: up to 1e-3 the four are alike. With warmup and clipping 1e-2 ends at
            1.77, without warmup at 2.46; with warmup and without clipping one of five breaks there.

The clipped arms are the same runs as in lr-ladder.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

RATES = ("3e-4", "1e-3", "3e-3", "1e-2", "3e-2")
STARTS = (("warm", "warmup", {}), ("cold", "no warmup", {"warmup_steps": 0}))
BOUNDS = (("clip", "clip at 1.0", {"grad_clip": 1.0}), ("no-clip", "no clipping", {"grad_clip": None}))

STUDY = Study(
    name="lr-warmup-clip",
    question="Which peak rates does a model bear, with and without warmup and clipping?",
    hypothesis="Warmup and clipping each let a higher rate through.",
    predictions=(
        Prediction(
            "At 1e-2, clipped, warmup ends lower.",
            "warm-clip-1e-2:final_val_loss",
            "below",
            "cold-clip-1e-2:final_val_loss",
        ),
        Prediction(
            "At 1e-2, without warmup, clipping ends lower.",
            "cold-clip-1e-2:final_val_loss",
            "below",
            "cold-no-clip-1e-2:final_val_loss",
        ),
    ),
    source="Pretraining, sections Learning Rate Scheduling and Gradient Clipping",
    arms=tuple(
        Arm(f"{start}-{bound}-{rate}", f"{rate}, {warmup}, {clipping}", {"lr": float(rate), **first, **last})
        for start, warmup, first in STARTS
        for bound, clipping, last in BOUNDS
        for rate in RATES
    ),
    settings={"schedule": "warmup-cosine"},
)
