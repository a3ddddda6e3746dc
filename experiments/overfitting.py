"""When do the scissors open?

Question    Thirty epochs over the same text, with dropout and without: when does the val loss turn, and how far do
            train and val loss part?
Hypothesis  Without dropout the val loss turns within the first epochs of a large model and late or never of a small
            one; dropout of 0.2 puts it off and lowers the best val loss.
Source      Lesson "Pretraining", outline 10 ("with a small dataset and a large model, overfitting is inevitable");
            nanoGPT, config/train_shakespeare_char.py ("we'll overfit", dropout 0.2).
Command     gptexp run overfitting --scale laptop
Time        char: 50 minutes a run on one core; laptop: two evenings; quick: a quarter of an hour; lesson: half an hour
            on one GPU.
Expect      laptop (30 million parameters, 301,966 tokens): the val loss turns long before epoch 30.

Steps are set per scale: thirty epochs over TinyShakespeare by the lesson's own loader, with an evaluation at the end of
each. Over another text they are another number of epochs, which the plan shows.
"""

from gptexp.studies.study import Arm, Study

EPOCHS = 30
STEPS_AN_EPOCH = {"quick": 590, "char": 1307, "laptop": 147, "lesson": 74}
"""Of TinyShakespeare: 301,966 tokens of GPT-2 or 1,003,854 characters, by the tokens of a step of the scale."""

STUDY = Study(
    name="overfitting",
    question="When does the val loss turn, and what does dropout change about it?",
    hypothesis="Without dropout it turns first; a dropout of 0.2 puts it off and reaches a lower val loss.",
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
