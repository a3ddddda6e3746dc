"""Adam or AdamW: where does weight decay go in?

Question    The same weight decay in the gradient, as an L2 penalty (Adam), and apart from it (AdamW). Does it matter?
Hypothesis  Yes. Adam divides the penalty by the running scale of the gradient, together with it: all weights move
            towards zero about as fast as the loss moves them, whatever the coefficient was meant to be.
Source      Lesson "Pretraining", aside on AdamW: the same as Adam, but weight decay is applied directly to parameters
            instead of added to the loss. Loshchilov & Hutter, arXiv 1711.05101.
Command     gptexp run adam-or-adamw --scale char --seeds 3
Time        quick: 4 minutes on two cores; char: 9 minutes; lesson: more than two hours on one GPU (by the runs of
            lr-ladder, not measured).
Expect      Written before any run. char: Adam ends above AdamW by more than 0.3 nats. 0.1 of a usual weight of 0.02 is
            2e-3, and an entry of a gradient of norm 1 over 800,000 weights is 1e-3: the penalty outweighs the loss.
            AdamW and no decay end within 0.02 of each other: 2,000 steps are too few for 0.1 to matter there.

The arms share seeds, batches, rate and schedule. Without weight decay Adam and AdamW are the same rule, so that the
third arm is both: it tells what the decay itself does.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="adam-or-adamw",
    question="Does it matter whether weight decay is in the gradient (Adam) or apart from it (AdamW)?",
    hypothesis="Yes: in the gradient, Adam divides it by the gradient's scale, and it outweighs the loss.",
    predictions=(
        Prediction(
            "Adam with its decay in the gradient ends higher than AdamW.",
            "adam:final_val_loss",
            "above",
            "adamw:final_val_loss",
        ),
    ),
    source="Pretraining, aside on AdamW",
    arms=(
        Arm("adamw", "AdamW, decay 0.1", {"optimizer": "adamw", "weight_decay": 0.1}),
        Arm("adam", "Adam, decay 0.1", {"optimizer": "adam", "weight_decay": 0.1}),
        Arm("no-decay", "either, no decay", {"optimizer": "adamw", "weight_decay": 0.0}),
    ),
    settings={"schedule": "warmup-cosine"},
    seeds=3,
)
