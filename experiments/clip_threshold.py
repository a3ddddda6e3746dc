"""Which clip threshold?

Question    Final loss and clipped steps for thresholds from 0.1 to 10 and without clipping.
Hypothesis  AdamW is nearly invariant to a constant scale of the gradient, so a threshold that always fires acts like
            one that never fires; thresholds in between differ in how they treat spikes.
Source      Lesson "Pretraining", section "Gradient Clipping" (max_norm=1.0); arXiv 1905.11881, 1912.03194.
Command     gptexp run clip-threshold --scale char --seeds 3
Time        quick: 4 minutes on two cores; char: 6 minutes a seed; lesson: an hour and a half on one GPU.
Expect      Small differences; the share of clipped steps falls from all to none.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="clip-threshold",
    question="How much does the threshold of gradient clipping matter?",
    hypothesis="Little: AdamW is nearly invariant to the scale of the gradient.",
    predictions=(
        Prediction(
            "Clipping at 0.1 ends within 0.05 nats of clipping at 10.",
            "clip-0.1:final_val_loss",
            "about",
            "clip-10:final_val_loss",
            tolerance=0.05,
        ),
    ),
    source="Pretraining, section Gradient Clipping",
    arms=(
        *(
            Arm(f"clip-{limit}", f"clip at {limit}", {"grad_clip": float(limit)})
            for limit in ("0.1", "0.3", "1", "3", "10")
        ),
        Arm("no-clip", "no clipping", {"grad_clip": None}),
    ),
    settings={"schedule": "warmup-cosine"},
)
