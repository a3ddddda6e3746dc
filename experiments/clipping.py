"""Does gradient clipping save a run?

Question    What does clipping at a global norm of 1.0 change, on natural data and when one batch causes a spike?
Hypothesis  On natural data little; after the outlier batch the clipped run continues as if nothing had happened.
Source      Lesson "Pretraining", section "Gradient Clipping" (norms 0.83, 0.61, 0.92, 12.3, 0.74).
Command     gptexp run clipping
Time        quick: 3 to 4 minutes on two cores; lesson: 12 minutes on one H100, with --jobs 2 --set compile=true.
Expect      The report counts the clipped steps: if clipping never fired, the study shows nothing. AdamW is nearly
            invariant to the scale of the gradient, so clipping every step has another effect than clipping a spike.
            lesson, one seed: after the outlier batch the final train loss is within 0.01 nats of the run without it, as
            it was before the batch.

The outlier batch comes after 60% of the steps and is labelled: it has the rarest token of the corpus at every position.
The learning rate is constant, so that the spike meets the full rate.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="clipping",
    question="What does clipping the gradient norm at 1.0 change, with and without an outlier batch?",
    hypothesis="On natural data little; after an outlier batch the clipped run goes on undisturbed.",
    predictions=(
        Prediction(
            "On natural data clipping changes the final train loss by less than 0.05 nats.",
            "clip:final_train_loss",
            "about",
            "no-clip:final_train_loss",
            tolerance=0.05,
        ),
        Prediction(
            "The clipped run ends within 0.02 nats of the one without the outlier batch.",
            "clip-outlier:final_train_loss",
            "about",
            "clip:final_train_loss",
            tolerance=0.02,
        ),
    ),
    source="Pretraining, section Gradient Clipping",
    arms=(
        Arm("clip", "clip at 1.0", {"grad_clip": 1.0}),
        Arm("no-clip", "no clipping", {"grad_clip": None}),
        Arm("clip-outlier", "clip at 1.0, outlier batch", {"grad_clip": 1.0, "outlier_at": 0.6}),
        Arm("no-clip-outlier", "no clipping, outlier batch", {"grad_clip": None, "outlier_at": 0.6}),
    ),
    settings={"schedule": "constant", "lr": 6e-4},
)
