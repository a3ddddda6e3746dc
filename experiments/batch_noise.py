"""How noisy is the loss?

Question    The step-to-step scatter of the train loss at four batch sizes, same number of steps.
Hypothesis  It falls with the square root of the batch size: batches differ in difficulty, and larger ones average it.
Source      Lesson "Pretraining", misconception 4 ("loss should decrease smoothly"), section "Reading the Loss Curve".
Command     gptexp run batch-noise --scale char
Time        quick: 8 minutes on two cores; char: 10 minutes; lesson: two hours on one GPU.
Expect      Four times the batch size, half the scatter. A larger batch also sees more text in the same number of steps.

Batches are nested: a larger batch starts with the windows of a smaller one. All arms are evaluated on the same val
windows.
"""

from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="batch-noise",
    question="How noisy is the train loss at each batch size?",
    hypothesis="Its scatter falls with the square root of the batch size.",
    source="Pretraining, section Reading the Loss Curve",
    arms=tuple(Arm(f"batch-{size}", f"batch of {size}", {"batch_size": size}) for size in (1, 4, 16, 64)),
    settings={"schedule": "warmup-cosine"},
)
