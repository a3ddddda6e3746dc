"""Is it the warmup, or the decay?

Question    "Constant against warmup + cosine" changes two things at once. Which of them does the work?
Hypothesis  Decay lowers the final loss; warmup mostly allows a higher peak rate and matters little at a safe one.
Source      Lesson "Pretraining", section "Learning Rate Scheduling"; arXiv 2406.09405, 2410.23922 (warmup),
            2310.07831, 2502.15938 (linear decay).
Command     gptexp run warmup-by-decay --scale char --seeds 3
Time        quick: 5 minutes on two cores; char: 15 minutes a seed on one core; lesson: an hour and a half on one GPU.
Expect      char: both decays end below constant; warmup changes less than decay does. Measured with two seeds: this
            holds on average, by 0.01 to 0.015 and 0.007 nats, but isn't significant.

All six arms share the peak rate, the seeds and the batches; a decay ends at a tenth of the peak.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="warmup-by-decay",
    question="Which part of the schedule does the work: the warmup or the decay?",
    hypothesis="Decay lowers the final loss; warmup matters little at a safe peak rate.",
    predictions=(
        Prediction(
            "Without warmup, cosine decay ends lower than the constant rate.",
            "cosine:final_train_loss",
            "below",
            "constant:final_train_loss",
        ),
        Prediction(
            "With cosine decay, a run without warmup ends within 0.05 nats of one with it.",
            "cosine:final_train_loss",
            "about",
            "warmup-cosine:final_train_loss",
            tolerance=0.05,
        ),
    ),
    source="Pretraining, section Learning Rate Scheduling",
    arms=(
        Arm("constant", "no warmup, constant", {"schedule": "constant"}),
        Arm("warmup-constant", "warmup, constant", {"schedule": "warmup-constant"}),
        Arm("cosine", "no warmup, cosine", {"schedule": "warmup-cosine", "warmup_steps": 0}),
        Arm("warmup-cosine", "warmup, cosine", {"schedule": "warmup-cosine"}),
        Arm("linear", "no warmup, linear", {"schedule": "warmup-linear", "warmup_steps": 0}),
        Arm("warmup-linear", "warmup, linear", {"schedule": "warmup-linear"}),
    ),
)
