"""Is it the precision that breaks a constant 6e-4?

Question    A constant 6e-4 in fp32 and in bf16, with clipping and without: does any of the four explode?
Hypothesis  None does, and precision changes less than the seed. bf16 has the range of fp32, so nothing overflows
            sooner; reports of NaN come from fp16, which has a smaller range.
Source      Lesson "Pretraining", section "Learning Rate Scheduling" (6e-4 is NaN by step 300), trained in float32;
            its next lesson is about mixed precision.
Command     gptexp run initial-loss lr-ablation clipping text-milestones high-rate-precision --scale lesson
            (all runs of the lesson's claims that need a GPU, in bf16, and this study, which adds fp32)
Time        lesson: on one H200 five minutes a run in bf16 with --jobs 2 --set compile=true, in 4 GiB of its memory;
            fp32 was not measured: by its operations it takes four times as long. char: 10 minutes on one core.
Expect      Finite losses in all four.

On machines where precision=auto means bf16, the two bf16 arms are the same runs as in lr-ablation and clipping.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="high-rate-precision",
    question="Does a constant 6e-4 explode in fp32 or in bf16, with clipping or without?",
    hypothesis="In none of the four ways.",
    predictions=(
        Prediction("fp32, no clipping: the run stays finite.", "fp32-no-clip:diverged", "never"),
        Prediction("fp32, clip at 1.0: the run stays finite.", "fp32-clip:diverged", "never"),
        Prediction("bf16, no clipping: the run stays finite.", "bf16-no-clip:diverged", "never"),
        Prediction("bf16, clip at 1.0: the run stays finite.", "bf16-clip:diverged", "never"),
    ),
    source="Pretraining, section Learning Rate Scheduling",
    arms=tuple(
        Arm(f"{precision}-{bound}", f"{precision}, {clipping}", {"precision": precision, "grad_clip": limit})
        for precision in ("fp32", "bf16")
        for bound, clipping, limit in (("no-clip", "no clipping", None), ("clip", "clip at 1.0", 1.0))
    ),
    settings={"schedule": "constant", "lr": 6e-4},
)
