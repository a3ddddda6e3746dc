"""Do gradient spikes occur on natural data?

Question    How large are the gradients of the first 200 steps on natural data, with warmup or without, clipped or not,
            and what does a spike cost later?
Hypothesis  Without warmup the norm jumps within the first tens of steps, with warmup it doesn't; the final losses
            hardly differ, and clipping changes less than warmup does.
Source      Lesson "Pretraining", section "Gradient Clipping" (norms 0.83, 0.61, 0.92, 12.3, 0.74). At scale char, seed
            1338, all arms without warmup had a norm of 35 at step 8; arms with warmup never had more than 5.7.
Command     gptexp run natural-spikes --scale char
Time        char: an hour and a half in all on one core, and 10 minutes with --until-step 200; quick: 10 minutes;
            lesson: ten seeds are ten hours on one GPU.
Expect      Most seeds without warmup exceed a norm of 12.3 in the first 200 steps. Ten seeds, because a single seed
            may have no spike.

The clipped arms are the same runs as in warmup-by-decay and lr-ladder.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="natural-spikes",
    question="Do gradients spike by themselves, when, and what does it cost?",
    hypothesis="Without warmup they do in the first tens of steps; later it hardly shows.",
    predictions=(
        Prediction(
            "Without clipping the largest spike is larger without warmup than with it.",
            "cold-no-clip:largest_spike",
            "above",
            "warm-no-clip:largest_spike",
        ),
        Prediction(
            "Without clipping the run without warmup ends within 0.05 nats of the one with it.",
            "cold-no-clip:final_train_loss",
            "about",
            "warm-no-clip:final_train_loss",
            tolerance=0.05,
        ),
    ),
    source="Pretraining, section Gradient Clipping",
    arms=tuple(
        Arm(f"{start}-{bound}", f"{warmup}, {clipping}", {**first, **last})
        for start, warmup, first in (("cold", "no warmup", {"warmup_steps": 0}), ("warm", "warmup", {}))
        for bound, clipping, last in (
            ("no-clip", "no clipping", {"grad_clip": None}),
            ("clip", "clip at 1.0", {"grad_clip": 1.0}),
        )
    ),
    settings={"schedule": "warmup-cosine"},
    seeds=10,
)
