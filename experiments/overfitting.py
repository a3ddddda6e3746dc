"""When does overfitting begin?

Question    Thirty epochs over the same text, with dropout and without: when does the val loss start to rise, and how
            far apart do train and val loss get?
Hypothesis  Without dropout the val loss of a large model rises after the first epochs, that of a small one late or
            never; dropout of 0.2 delays this and lowers the best val loss.
Source      Lesson "Pretraining", outline 10 ("with a small dataset and a large model, overfitting is inevitable");
            nanoGPT, config/train_shakespeare_char.py ("we'll overfit", dropout 0.2).
Command     gptexp run overfitting --scale laptop
Time        char: 50 minutes a run on one core; laptop: two evenings; quick: a quarter of an hour; lesson: half an hour
            on one GPU.
Expect      laptop (30 million parameters, 301,966 tokens): the val loss starts to rise long before epoch 30.

Steps are set per scale: thirty epochs over TinyShakespeare with the lesson's data loader, and an evaluation after each
epoch. On another text the same steps are another number of epochs, which the plan shows.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

EPOCHS = 30
STEPS_AN_EPOCH = {"quick": 590, "char": 1307, "laptop": 147, "lesson": 74}
"""TinyShakespeare's train split (301,966 GPT-2 tokens or 1,003,854 characters) divided by the scale's tokens a step."""

STUDY = Study(
    name="overfitting",
    question="When does the val loss turn, and what does dropout change about it?",
    hypothesis="Without dropout it turns first; a dropout of 0.2 puts it off and reaches a lower val loss.",
    predictions=(
        Prediction(
            "Without dropout the val loss turns at an earlier step.",
            "no-dropout:best_val_step",
            "below",
            "dropout:best_val_step",
        ),
        Prediction(
            "A dropout of 0.2 reaches a lower val loss.", "dropout:best_val_loss", "below", "no-dropout:best_val_loss"
        ),
    ),
    source="Pretraining, section Training Dynamics Nuances",
    arms=(
        Arm("no-dropout", "no dropout", {"dropout": 0.0}),
        Arm("dropout", "dropout 0.2", {"dropout": 0.2}),
    ),
    settings={"schedule": "warmup-cosine", "sampler": "epochs"},
    scale_settings={
        scale: {"max_steps": EPOCHS * steps, "eval_interval": steps, "sample_interval": 10 * steps}
        for scale, steps in STEPS_AN_EPOCH.items()
    },
)
