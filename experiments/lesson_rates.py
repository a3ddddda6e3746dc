"""Does the lesson's constant 6e-4 explode, in any of the ways in which it may have been trained?

Question    The rates of the lesson on its own model: a constant 6e-4 with clipping, without it, and without it with
            PyTorch's default beta2; 3e-4; 1e-5; and the schedule.
Hypothesis  None of them explodes. The closest is a high rate from the first step without clipping and with beta2 0.999.
Source      Lesson "Pretraining", section "Learning Rate Scheduling" (6e-4 is NaN by step 300, 3e-4 trains, 1e-5 crawls,
            the schedule reaches 2.0). The lesson introduces the schedule before clipping, and uses AdamW with PyTorch's
            defaults, where beta2 is 0.999; nanoGPT's is 0.95.
Command     gptexp run lesson-rates --scale lesson --until-step 600
Time        lesson: an hour or two a run up to step 600 on two CPU cores with bf16 units; a minute and a half in all on
            one H200, with --jobs 2 --set compile=true. char: 15 minutes on one core.
Expect      Gradient norms of 30 at the first step, under 10 after it; finite losses past step 600. The losses after
            10,000 steps remain open.

Four of the six arms are the same runs as in lr-ablation; a constant 6e-4 without clipping is also an arm of clipping.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

HIGH = {"schedule": "constant", "lr": 6e-4}

STUDY = Study(
    name="lesson-rates",
    question="Does a constant 6e-4 explode, with clipping, without it, or with PyTorch's beta2?",
    hypothesis="No: it stays finite in all three ways.",
    predictions=(
        Prediction("A constant 6e-4, clipped, stays finite up to step 600.", "constant-6e-4:diverged@600", "never"),
        Prediction(
            "A constant 6e-4, not clipped, stays finite up to step 600.", "constant-6e-4-no-clip:diverged@600", "never"
        ),
        Prediction(
            "A constant 6e-4, not clipped and with a beta2 of 0.999, stays finite up to step 600.",
            "constant-6e-4-beta2:diverged@600",
            "never",
        ),
    ),
    source="Pretraining, section Learning Rate Scheduling",
    arms=(
        Arm("constant-6e-4", "constant 6e-4", HIGH),
        Arm("constant-6e-4-no-clip", "constant 6e-4, no clipping", {**HIGH, "grad_clip": None}),
        Arm(
            "constant-6e-4-beta2",
            "constant 6e-4, no clipping, beta2 0.999",
            {**HIGH, "grad_clip": None, "beta2": 0.999},
        ),
        Arm("constant-3e-4", "constant 3e-4", {"schedule": "constant", "lr": 3e-4}),
        Arm("constant-1e-5", "constant 1e-5", {"schedule": "constant", "lr": 1e-5}),
        Arm("warmup-cosine", "warmup + cosine to 6e-5", {"schedule": "warmup-cosine", "lr": 6e-4, "min_lr": 6e-5}),
    ),
)
