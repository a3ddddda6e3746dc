"""Does bf16 change the result?

Question    The same seeds in fp32 and in bf16 (matrix products in bf16 over fp32 weights).
Hypothesis  The difference is smaller than the one between two seeds.
Source      Lesson "Pretraining", section "What comes next" (mixed precision is the next lesson's subject).
Command     gptexp run precision --scale char --seeds 3
Time        quick: 3 minutes if `gptexp doctor` finds bf16 fast, else many times longer; see `gptexp plan`.
Expect      Final losses within the spread of seeds.
"""

from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="precision",
    question="Does training in bf16 end anywhere else than in fp32?",
    hypothesis="No: the difference is smaller than the one between two seeds.",
    source="Pretraining, section What comes next",
    arms=(
        Arm("fp32", "fp32", {"precision": "fp32"}),
        Arm("bf16", "bf16", {"precision": "bf16"}),
    ),
    settings={"schedule": "warmup-cosine"},
    seeds=2,
)
