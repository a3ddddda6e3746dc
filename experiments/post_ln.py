"""Does the lesson's instability occur in a post-LN transformer?

Question    Does a high rate without warmup break a post-LN transformer, but not GPT-2's pre-LN?
Hypothesis  Post-LN without warmup stays near its first loss or diverges; with warmup it trains; pre-LN always trains.
Source      Not the lesson's model: Xiong et al., arXiv 2002.04745. It shows where the lesson's warning comes from.
Command     gptexp run post-ln --scale char
Time        quick: 4 minutes on two cores; char: 5 minutes; lesson: an hour on one GPU.
Expect      The gap grows with depth; at 4 layers it may be small.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="post-ln",
    question="Where does the lesson's instability come from: is it post-LN (not the lesson's model)?",
    hypothesis="Post-LN needs warmup at a high rate, pre-LN does not.",
    predictions=(
        Prediction(
            "Post-LN ends more than 0.1 nats higher without warmup than with it.",
            "post-cold:final_train_loss",
            "above",
            "post-warm:final_train_loss",
            tolerance=0.1,
        ),
        Prediction(
            "Pre-LN ends within 0.1 nats without warmup of where it ends with it.",
            "pre-cold:final_train_loss",
            "about",
            "pre-warm:final_train_loss",
            tolerance=0.1,
        ),
    ),
    source="arXiv 2002.04745; not the lesson's model",
    arms=(
        Arm("pre-cold", "pre-LN, no warmup", {"norm": "pre", "warmup_steps": 0}),
        Arm("pre-warm", "pre-LN, warmup", {"norm": "pre"}),
        Arm("post-cold", "post-LN, no warmup", {"norm": "post", "warmup_steps": 0}),
        Arm("post-warm", "post-LN, warmup", {"norm": "post"}),
    ),
    settings={"schedule": "warmup-cosine", "lr": 3e-3},
)
