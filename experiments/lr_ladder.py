"""At which learning rate does this model diverge, and what does a wrong rate cost?

Question    Final loss against the peak learning rate from 1e-5 to 3e-2 in half decades, with and without warmup.
Hypothesis  A wide range of rates ends at similar losses; below it the runs are slow, above it they diverge or stay
            high; warmup extends the range upwards.
Source      Lesson "Pretraining", misconception 3 (6e-4 becomes unstable, 1e-5 crawls); LR sensitivity after Wortsman
            et al., arXiv 2309.14322.
Command     gptexp run lr-ladder --scale char --seeds 3
Time        quick: 12 minutes on two cores; char: 40 minutes a seed on one core; lesson: four hours on one GPU.
Expect      char: the best rates lie near 1e-3 to 3e-3; 6e-4 is far from the edge. Measured, one seed: 3e-3 and 1e-2
            with warmup (1.77), 1e-3 without (1.91), no divergence up to 3e-2.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

RATES = ("1e-5", "3e-5", "1e-4", "3e-4", "1e-3", "3e-3", "1e-2", "3e-2")

STUDY = Study(
    name="lr-ladder",
    question="What does the final loss look like against the peak learning rate, and where do runs break?",
    hypothesis="A flat valley, crawling below and breaking above it; warmup widens it upwards.",
    predictions=(
        Prediction(
            "At 1e-2 the run with warmup ends lower than the one without.",
            "warmup-1e-2:final_val_loss",
            "below",
            "cold-1e-2:final_val_loss",
        ),
        Prediction(
            "At 1e-5 the run with warmup ends more than half a nat above that at 1e-3.",
            "warmup-1e-5:final_val_loss",
            "above",
            "warmup-1e-3:final_val_loss",
            tolerance=0.5,
        ),
    ),
    source="Pretraining, section Learning Rate Scheduling",
    arms=tuple(
        Arm(f"{name}-{rate}", f"{rate}, {label}", {"schedule": "warmup-cosine", "lr": float(rate), **settings})
        for name, label, settings in (("warmup", "warmup", {}), ("cold", "no warmup", {"warmup_steps": 0}))
        for rate in RATES
    ),
)
