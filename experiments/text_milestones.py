"""What does the text look like at each loss?

Question    What does the model write when its loss first falls below 8, 6, 5, 4, 3, 2.5, 2?
Hypothesis  Gibberish, then fragments, words, phrases; the largest change comes early.
Source      Lesson "Pretraining", section "Watching the Model Learn" (text at losses 6.0, 4.0, 3.0, 2.5, 2.0).
Command     gptexp run text-milestones --scale char
Time        quick: 2 minutes; char: 3 minutes on two cores; lesson: 5 minutes on one H200.
Expect      char: val loss 1.88 after 2,000 steps (nanoGPT's CPU anchor), words from about 2.5 nats per character on.
            Losses of characters and of GPT-2 tokens are not comparable; bits per byte are.
"""

from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="text-milestones",
    question="What does the model write at each loss?",
    hypothesis="The largest change in the text comes early: the mapping from loss to text is not linear.",
    source="Pretraining, section Watching the Model Learn",
    arms=(Arm("scheduled", "warmup + cosine", {"schedule": "warmup-cosine"}),),
    settings={"sample_losses": (8.0, 6.0, 5.0, 4.0, 3.0, 2.5, 2.0)},
)
