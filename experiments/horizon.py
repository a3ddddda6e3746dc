"""From how many steps on does a schedule pay?

Question    Warmup + cosine against the same rate held constant, over 200, 500, 2,000 and 10,000 steps.
Hypothesis  The schedule loses over a short run, which spends its steps at low rates, and wins the longer, the more.
Source      Lesson "Pretraining", section "Learning Rate Scheduling" (10,000 steps; most pages that repeat it train for
            hundreds); arXiv 2405.18392 (what decay gains grows with the length).
Command     gptexp run horizon --scale char --seeds 3
Time        char: half an hour a seed on one core; quick: 20 minutes on two; lesson: two and a half hours on one GPU.
Expect      char: hardly apart at 200 steps, some hundredths of a nat at 2,000 and after.

Each schedule is planned for its own length. The constant rate is a run of its own at each length, so that all end with
the whole val split.
"""

from gptexp.studies.study import Arm, Study

LENGTHS = (200, 500, 2000, 10_000)

STUDY = Study(
    name="horizon",
    question="From how many steps on does warmup + cosine decay beat a constant rate?",
    hypothesis="Not over hundreds of steps; over thousands it does, and the more the longer.",
    source="Pretraining, section Learning Rate Scheduling",
    arms=tuple(
        Arm(f"{schedule}-{steps}", f"{label}, {steps:,} steps", {"schedule": schedule, "max_steps": steps})
        for steps in LENGTHS
        for schedule, label in (("constant", "constant"), ("warmup-cosine", "warmup + cosine"))
    ),
)
