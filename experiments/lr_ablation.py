"""Is a constant learning rate as good as warmup and decay?

Question    On the same model, data and batches: which loss do a high, a medium and a low constant learning rate reach,
            and which a scheduled one?
Hypothesis  Constant 6e-4 becomes unstable early, 1e-5 crawls, warmup + cosine ends lowest.
Source      Lesson "Pretraining", section "Learning Rate Scheduling" (misconception 3; the three-column comparison).
Command     gptexp run lr-ablation
Time        quick: 3 to 4 minutes on two cores; char: 5 minutes; laptop: hours; lesson: 10 minutes on one H200,
            with --jobs 2 --set compile=true.
Expect      At quick scale the three larger rates end close together and 1e-5 far behind; nothing explodes.
            We found no source that shows NaN at a constant 6e-4 for pre-LN GPT-2 with AdamW; the study measures it.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="lr-ablation",
    question="How far do constant learning rates get against warmup + cosine decay?",
    hypothesis="Constant 6e-4 becomes unstable, 1e-5 crawls, warmup + cosine ends lowest.",
    predictions=(
        Prediction("Constant 6e-4 becomes unstable in the first 100 steps.", "constant-6e-4:unstable@100", "happens"),
        Prediction(
            "1e-5 ends more than half a nat above warmup + cosine.",
            "constant-1e-5:final_train_loss",
            "above",
            "warmup-cosine:final_train_loss",
            tolerance=0.5,
        ),
        Prediction(
            "Warmup + cosine ends below constant 6e-4.",
            "warmup-cosine:final_train_loss",
            "below",
            "constant-6e-4:final_train_loss",
        ),
        Prediction(
            "Warmup + cosine ends below constant 3e-4.",
            "warmup-cosine:final_train_loss",
            "below",
            "constant-3e-4:final_train_loss",
        ),
    ),
    source="Pretraining, section Learning Rate Scheduling",
    arms=(
        Arm("constant-6e-4", "constant 6e-4", {"schedule": "constant", "lr": 6e-4}),
        Arm("constant-3e-4", "constant 3e-4", {"schedule": "constant", "lr": 3e-4}),
        Arm("constant-1e-5", "constant 1e-5", {"schedule": "constant", "lr": 1e-5}),
        Arm("warmup-cosine", "warmup + cosine to 6e-5", {"schedule": "warmup-cosine", "lr": 6e-4, "min_lr": 6e-5}),
    ),
)
