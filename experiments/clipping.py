"""Does gradient clipping save a run?

Question    What does clipping at a global norm of 1.0 change, on natural data and when one batch makes a spike?
Hypothesis  On natural data little; after the outlier batch the clipped run goes on as if nothing had happened.
Source      Lesson "Pretraining", section "Gradient Clipping" (norms 0.83, 0.61, 0.92, 12.3, 0.74).
Command     gptexp run clipping
Time        quick: 3 to 4 minutes on two cores; lesson: 10 minutes on one H200, as lr-ablation.
Expect      Whatever the norms say: the report counts the clipped steps, and a study in which clipping never fired
            shows nothing. AdamW is nearly invariant to the scale of the gradient, so clipping every step acts
            otherwise than clipping a spike.

The outlier batch is labelled: after 60% of the steps the rarest token of the corpus stands at every position. The
rate is constant, so that the spike meets the full learning rate.
"""

from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="clipping",
    question="What does clipping the gradient norm at 1.0 change, with and without an outlier batch?",
    hypothesis="On natural data little; after an outlier batch the clipped run goes on undisturbed.",
    source="Pretraining, section Gradient Clipping",
    arms=(
        Arm("clip", "clip at 1.0", {"grad_clip": 1.0}),
        Arm("no-clip", "no clipping", {"grad_clip": None}),
        Arm("clip-outlier", "clip at 1.0, outlier batch", {"grad_clip": 1.0, "outlier_at": 0.6}),
        Arm("no-clip-outlier", "no clipping, outlier batch", {"grad_clip": None, "outlier_at": 0.6}),
    ),
    settings={"schedule": "constant", "lr": 6e-4},
)
