"""The lesson's four rates, scaled to a model of 128 columns.

Question    As in lr-ablation, with every rate times six: which loss do constant rates reach against warmup + cosine?
Hypothesis  The high constant rate starts badly and the schedule ends lowest: what the lesson says of 124M parameters
            shows here too, at the rates that suit this width.
Source      Lesson "Pretraining", section "Learning Rate Scheduling". Adam's best rate falls with the width of the
            matrices (muP: Yang et al., arXiv 2203.03466, table 3), and 768 columns are six times 128.
Command     gptexp run scaled-rates --scale char --seeds 5
Time        quick: 4 minutes on two cores; char: 10 minutes a seed on one core. Other widths need another factor.
Expect      char: 3.6e-3 is near the best rates of lr-ladder, so the schedule gains more than at 6e-4.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="scaled-rates",
    question="How far do the lesson's rates get on a narrow model, scaled to its width?",
    hypothesis="The high constant rate starts badly, and warmup + cosine ends lowest.",
    predictions=(
        Prediction(
            "Warmup + cosine ends below constant 3.6e-3.",
            "warmup-cosine:final_train_loss",
            "below",
            "constant-3.6e-3:final_train_loss",
        ),
        Prediction(
            "Warmup + cosine ends below constant 1.8e-3.",
            "warmup-cosine:final_train_loss",
            "below",
            "constant-1.8e-3:final_train_loss",
        ),
    ),
    source="Pretraining, section Learning Rate Scheduling",
    arms=(
        Arm("constant-3.6e-3", "constant 3.6e-3 (6e-4 times 6)", {"schedule": "constant", "lr": 3.6e-3}),
        Arm("constant-1.8e-3", "constant 1.8e-3 (3e-4 times 6)", {"schedule": "constant", "lr": 1.8e-3}),
        Arm("constant-6e-5", "constant 6e-5 (1e-5 times 6)", {"schedule": "constant", "lr": 6e-5}),
        Arm(
            "warmup-cosine", "warmup + cosine to 3.6e-4", {"schedule": "warmup-cosine", "lr": 3.6e-3, "min_lr": 3.6e-4}
        ),
    ),
)
