"""The lesson's page: everything that "Pretraining: The Training Loop" shows, from recorded runs.

Command:  gptexp run lr-ablation clipping initial-loss
          gptexp run text-milestones warmup-by-decay lr-ladder natural-spikes --scale char
          gptexp report lesson
Studies that have no runs yet are named where they belong. Of a study at several scales the largest is shown.
"""

from gptexp.report.declare import Chapter, Exhibit, Findings, Question, Report, Sentences, StudyFacts, Text

HEARTBEAT = Chapter(
    "heartbeat",
    "The same heartbeat",
    (
        Text(
            "Forward, loss, backward, update: the loop that trains a GPT is the loop that trains a classifier of "
            "digits. Both of these run; their common lines stand beside each other, and what is new is marked.",
            asserts=("same-heartbeat",),
        ),
        Exhibit(
            "loops",
            title="Two loops, one heartbeat",
            text="A sign before a line says how it compares: + added, ~ changed, − only on this side. New are a "
            "learning rate for every step, and a bound on the gradient. The data come by steps instead of epochs: "
            "cycle starts the loader again, in a new order, whenever it is through. (itertools.cycle would replay the "
            "first epoch's order.)",
        ),
    ),
)

DATA = Chapter(
    "data",
    "Text becomes examples",
    (
        Text(
            "Text is its own label: the target at every position is the token that follows. A window of T tokens, "
            "with the one that follows it, is T examples, and the causal mask lets the model predict all of them in "
            "one pass.",
            asserts=("target-is-shifted-input", "t-examples-per-sequence", "all-positions-in-one-pass"),
        ),
        Question(
            "How many predictions does “The cat sat on the mat” train?",
            (
                Text(
                    "One for every token that has a next one. The model does not wait for the end of the sequence: "
                    "every position predicts, at once. The table below lists them all."
                ),
            ),
        ),
        Exhibit("trace"),
    ),
)

START = Chapter(
    "initial-loss",
    "Where the loss starts",
    (
        Text(
            "Cross-entropy doesn't care whether it classifies shirts or predicts words: the same formula, with the "
            "vocabulary for classes. So the first loss can be known before the first step.",
            asserts=("cross-entropy-same-formula",),
        ),
        Question(
            "The untrained model should find every token of the vocabulary equally likely. What is its loss?",
            (
                Text(
                    "A uniform guess over {initial-loss:gpt2-init:vocab_size} tokens costs "
                    "{initial-loss:gpt2-init:uniform} nats, the logarithm of their number. The weights of "
                    "GPT-2's init give its logits some spread, which costs a little more: it predicts "
                    "{initial-loss:gpt2-init:predicted}. Measured: {initial-loss:gpt2-init:initial_val_loss} over "
                    "{initial-loss:gpt2-init:seeds}. A seed may lie a tenth of a nat beside the prediction. That comes "
                    "from the text's frequent tokens, and not from their order: with the same tokens shuffled the loss "
                    "is as far off, and with tokens drawn evenly from the vocabulary it is the predicted one.",
                    otherwise="The logarithm of the number of tokens. (No run of `initial-loss` is there to compare.)",
                ),
                Text(
                    "A wrong init shows before any training: with PyTorch's default the same model starts at "
                    "{initial-loss:pytorch-default:initial_val_loss}.",
                    asserts=("wrong-init-starts-higher",),
                ),
            ),
        ),
        Sentences(("uniform-loss", "initial-loss", "initial-loss-is-10.8", "wrong-init-starts-higher")),
        Exhibit("initial-loss", "initial-loss"),
        Exhibit("initial-loss-table", "initial-loss"),
    ),
)

SCHEDULE = Chapter(
    "schedule",
    "Why the learning rate moves",
    (
        Text(
            "A constant rate was good enough for digits. First what it does here, then what a schedule changes: the "
            "same model, the same batches, only the rate differs."
        ),
        Sentences(
            (
                "constant-6e-4-explodes",
                "constant-3e-4-suboptimal",
                "constant-1e-5-at-10000",
                "schedule-reaches-2",
                "constant-rate-does-not-converge",
            )
        ),
        Exhibit(
            "loss-curves",
            "lr-ablation",
            slug="lr-ablation-constant-rates",
            title="Constant learning rates",
            arms=("constant-6e-4", "constant-3e-4", "constant-1e-5"),
        ),
        Exhibit("loss-curves", "lr-ablation", slug="lr-ablation-against-schedule", title="The schedule beside them"),
        Findings("lr-ablation"),
        Exhibit(
            "losses-at-steps",
            "lr-ablation",
            slug="lr-ablation-three-columns",
            title="Too high, too low, scheduled",
            arms=("constant-6e-4", "constant-1e-5", "warmup-cosine"),
        ),
        Exhibit("results", "lr-ablation"),
        Exhibit("differences", "lr-ablation", title="Against warmup + cosine, seed by seed"),
        Exhibit("schedule-explained", "lr-ablation"),
        Exhibit("lr-schedules", "lr-ablation", title="All learning rates"),
        Exhibit(
            "schedules-in-code",
            title="The schedule in code, two ways",
            text="A test holds both to the same rate at every step.",
        ),
        Question(
            "If the schedule ends lower in the lesson, must it end lower here?",
            (
                Text(
                    "No: it depends on how long the run is. Warmup + cosine ended at "
                    "{lr-ablation:warmup-cosine:final_val_loss}, constant 6e-4 at "
                    "{lr-ablation:constant-6e-4:final_val_loss} and constant 1e-5 at "
                    "{lr-ablation:constant-1e-5:final_val_loss} nats per token, after "
                    "{lr-ablation:warmup-cosine:last_step} steps and {lr-ablation:warmup-cosine:epochs} passes over "
                    "the text. A decay pays once there is little left to gain from large steps.",
                ),
            ),
        ),
    ),
)

PARTS = Chapter(
    "which-part",
    "Which part of the schedule does the work?",
    (
        Text(
            "“Constant against warmup + cosine” changes two things at once. Taken apart, with the same seeds and the "
            "same batches: a warmup or none, and three ways to go on after it."
        ),
        Findings("warmup-by-decay"),
        Exhibit("results", "warmup-by-decay", title="A warmup or none, three decays"),
        Exhibit("differences", "warmup-by-decay", title="What the warmup changes, and what the decay"),
        Exhibit("loss-curves", "warmup-by-decay", slug="warmup-by-decay-taken-apart", title="The six schedules"),
        Text(
            "And a rate is only too high for a given model: here the same run at rates half a decade apart, with and "
            "without a warmup."
        ),
        Findings("lr-ladder"),
        Exhibit("lr-ladder", "lr-ladder"),
        Exhibit("lr-sensitivity", "lr-ladder"),
    ),
)

CLIPPING = Chapter(
    "clipping",
    "Clipping the gradient",
    (
        Text(
            "Before the update all gradients together are one long vector. If its length is over the threshold, all of "
            "them are scaled down by the same factor: the direction stays, the length is bounded.",
            asserts=("clips-to-threshold", "clipping-keeps-direction"),
        ),
        Sentences(("typical-norm-under-1",)),
        Text(
            "This is the main finding about clipping here. The lesson shows it as a guard against rare spikes; in "
            "these "
            "runs it fired in {clipping:clip:clipped_fraction} of all steps, and the median norm of the run without "
            "clipping was {clipping:no-clip:median_grad_norm}. A bound that nearly always holds sets the size of "
            "ordinary updates, too.",
            otherwise="How often clipping fires is its main finding; no run of `clipping` is there to count.",
        ),
        Sentences(("clips-to-threshold", "norms-stay-bounded", "spikes-on-natural-data")),
        Exhibit("natural-spikes", "natural-spikes"),
        Exhibit("natural-spikes-table", "natural-spikes"),
        Text(
            "What if a spike comes later, once the weights are good? For this one the batch was made: one rare token "
            "at every position."
        ),
        Sentences(("spikes-undo-steps", "clipping-saves-a-run")),
        Exhibit("clip-spike", "clipping"),
        Exhibit("norms-at-spike", "clipping"),
        Exhibit("norm-distribution", "clipping"),
        Findings("clipping"),
        Exhibit(
            "loss-curves", "clipping", slug="clipping-with-and-without", title="The loss with and without clipping"
        ),
        Exhibit("results", "clipping", title="How the runs with and without clipping end"),
    ),
)

VALIDATION = Chapter(
    "validation",
    "A val loss that means something",
    (
        Text(
            "The val loss is a mean over batches that the model never trained on. A loop that asks the loader for a "
            "new iterator each time averages one and the same batch, and nothing looks wrong.",
            asserts=("val-loop-repeats-one-batch",),
        ),
        Exhibit(
            "val-loss-loops",
            title="The same loader, used wrongly and rightly",
            text="The right loop takes its batches from one iterator; its first is the wrong loop's only one.",
        ),
        Exhibit("loader-estimates", "text-milestones", slug="loader-estimates"),
    ),
)

WATCHING = Chapter(
    "watching",
    "Gibberish becomes words",
    (
        Text("Every few steps the model writes. The texts hang on the curve at the step at which they were written."),
        Text(
            "The lesson's losses are nats per GPT-2 token. In that unit this run ends at "
            "{text-milestones:scheduled:val_loss_per_gpt2_token} on text that it never saw.",
            otherwise="The lesson's losses are nats per GPT-2 token.",
        ),
        Sentences(tuple(f"loss-at-step-{step}" for step in (500, 2000, 5000, 10000))),
        Exhibit("pinned-samples", "text-milestones"),
        Exhibit("samples", "text-milestones", title="What it writes at each loss"),
        Findings("text-milestones"),
        Text(
            "The lesson says that the first nats buy letters, spaces and words, and the last tenths details that are "
            "hard to see in one sample. No number here says how well a text reads: compare the samples yourself. The "
            "loss also says nothing of any single task.",
            asserts=("first-leap-is-dramatic", "last-step-is-subtle"),
        ),
    ),
)

READING = Chapter(
    "reading",
    "Reading the loss curve",
    (
        Question(
            "The curve is jagged, up and down from step to step. Is something wrong?",
            (
                Text(
                    "No. Every step sees other text, and some text is easier. Over the last 45% of its steps this "
                    "run's loss scattered by {text-milestones:scheduled:late_noise} nats around its trend (one "
                    "standard deviation), while the trend itself fell by {text-milestones:scheduled:late_drift}: the "
                    "trend shows over many steps, not between two.",
                    otherwise="No. Every step sees other text, and some text is easier.",
                ),
            ),
        ),
        Exhibit("three-smoothings", "text-milestones"),
        Question(
            "The loss suddenly jumps and doesn't come back. What happened?",
            (
                Text(
                    "One step was so large that it undid what was learned, or numbers left their range. A jump that "
                    "does come back is another thing: here an outlier batch at step "
                    "{clipping:clip-outlier:outlier_step} took the loss from "
                    "{clipping:clip-outlier:loss_before_outlier} to {clipping:clip-outlier:outlier_loss} and the "
                    "gradient norm to {clipping:clip-outlier:outlier_norm}. The clipped run ended at "
                    "{clipping:clip-outlier:final_val_loss} (without the batch {clipping:clip:final_val_loss}), the "
                    "unclipped one at {clipping:no-clip-outlier:final_val_loss} (without "
                    "{clipping:no-clip:final_val_loss}).",
                    otherwise="One step was so large that it undid what was learned, or numbers left their range.",
                ),
            ),
        ),
        Question(
            "The loss has come down to about 2. Is that good?",
            (
                Text(
                    "A loss alone says little; ask from where, on what, and per what. This run started at "
                    "{text-milestones:scheduled:initial_val_loss} and ended at "
                    "{text-milestones:scheduled:final_val_loss} on text that it never saw, against "
                    "{text-milestones:scheduled:final_train_loss} on the text that it trained on. That is a perplexity "
                    "of {text-milestones:scheduled:perplexity} among {text-milestones:scheduled:vocab_size} tokens, "
                    "and {text-milestones:scheduled:final_val_bpb} bits per byte.",
                    otherwise="A loss alone says little; ask from where, on what, and per what.",
                ),
                Text(
                    "Losses per character and per GPT-2 token can't be compared; bits per byte can. The GPT-2 token "
                    "model of `lr-ablation` ended at {lr-ablation:warmup-cosine:final_val_loss} nats per token, which "
                    "is {lr-ablation:warmup-cosine:final_val_bpb} bits per byte."
                ),
            ),
        ),
        Sentences(("noisier-early", "noisier-than-mnist", "overfitting-is-inevitable")),
        Exhibit("scissors", "text-milestones"),
        Exhibit("results", "text-milestones", title="How the run ends"),
    ),
)

CLAIMS = Chapter(
    "lesson-claims",
    "What the lesson says, and what was measured",
    (Exhibit("claims"), Exhibit("transfer", optional=True)),
    link="claims",
)

STUDIES = Chapter("studies", "The studies behind this page", (StudyFacts(),), link="")

REPORT = Report(
    name="lesson",
    title="Pretraining: the training loop, measured",
    lead="Every measured number on this page leads to the runs behind it.",
    chapters=(HEARTBEAT, DATA, START, SCHEDULE, PARTS, CLIPPING, VALIDATION, WATCHING, READING, CLAIMS, STUDIES),
    ledger="pretraining",
)
