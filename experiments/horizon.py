"""From how many steps on does a schedule pay off?

Question    Warmup + cosine against the same rate held constant, over 200, 500, 2,000 and 10,000 steps.
Hypothesis  In a short run the schedule loses, because it spends many steps at low rates; the longer the run, the more
            it gains.
Source      Lesson "Pretraining", section "Learning Rate Scheduling" (10,000 steps; most pages that repeat it train for
            hundreds); arXiv 2405.18392 (what decay gains grows with the length).
Command     gptexp run horizon --scale char --seeds 3
Time        char: half an hour a seed on one core; quick: 20 minutes on two; lesson: a quarter of an hour a seed on
            one GPU.
Expect      char, three seeds, final val loss: no difference at 200 steps, the constant rate 0.04 nats lower at 500,
            the schedule 0.07 lower at 10,000.

Each schedule is planned for its own length. The constant rate has its own run at each length too, so that all runs end
with an evaluation on the whole val split.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

LENGTHS = (200, 500, 2000, 10_000)

STUDY = Study(
    name="horizon",
    question="From how many steps on does warmup + cosine decay beat a constant rate?",
    hypothesis="Not over hundreds of steps; over thousands it does, and the more the longer.",
    predictions=(
        Prediction(
            "Over 200 steps the constant rate ends lower.",
            "constant-200:final_train_loss",
            "below",
            "warmup-cosine-200:final_train_loss",
        ),
        Prediction(
            "Over 2,000 steps warmup + cosine ends lower.",
            "warmup-cosine-2000:final_train_loss",
            "below",
            "constant-2000:final_train_loss",
        ),
    ),
    source="Pretraining, section Learning Rate Scheduling",
    arms=tuple(
        Arm(f"{schedule}-{steps}", f"{label}, {steps:,} steps", {"schedule": schedule, "max_steps": steps})
        for steps in LENGTHS
        for schedule, label in (("constant", "constant"), ("warmup-cosine", "warmup + cosine"))
    ),
)
