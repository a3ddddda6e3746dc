"""Is the first loss 10.8?

Question    What is the loss of the untrained model, by initialisation and by padding of the vocabulary?
Hypothesis  ln 50257 = 10.82 for uniform guesses; GPT-2's init starts at ln V + n_embd * 0.02^2 / 2, PyTorch's default
            init (embeddings from N(0, 1), tied) tens of nats higher.
Source      Lesson "Pretraining", section "Cross-Entropy for Next-Token Prediction" and "Predict the initial loss".
Command     gptexp run initial-loss
Time        quick: half a minute on two cores. No training.
Expect      quick (width 128): 10.85 for gpt2 init, 10.85 for 50,304 rows, far more for pytorch-default.
"""

from gptexp.studies.prediction import Prediction
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="initial-loss",
    question="What is the loss of the untrained model, and does it tell a right initialisation from a wrong one?",
    hypothesis="ln V + n_embd·σ²/2 with GPT-2's init; tens of nats higher with PyTorch's default.",
    predictions=(
        Prediction(
            "GPT-2's init starts within 0.1 nats of ln V + n_embd·σ²/2.",
            "gpt2-init:initial_val_loss",
            "about",
            "gpt2-init:predicted",
            tolerance=0.1,
        ),
        Prediction(
            "PyTorch's default starts more than ten nats higher.",
            "pytorch-default:initial_val_loss",
            "above",
            "gpt2-init:initial_val_loss",
            tolerance=10,
        ),
    ),
    source="Pretraining, section Cross-Entropy for Next-Token Prediction",
    arms=(
        Arm("gpt2-init", "GPT-2 init", {"init": "gpt2"}),
        Arm("padded-vocabulary", "GPT-2 init, 50,304 rows", {"init": "gpt2", "vocab_size": 50_304}),
        Arm("pytorch-default", "PyTorch default init", {"init": "pytorch-default"}),
    ),
    settings={"max_steps": 0, "eval_steps": 4, "final_eval": "subset", "sample_interval": None},
    seeds=3,
)
