"""The lesson's page: everything that "Pretraining: The Training Loop" shows, from recorded runs.

Command:  gptexp run lr-ablation clipping initial-loss
          gptexp run text-milestones warmup-by-decay lr-ladder natural-spikes --scale char
          gptexp report lesson
Studies that have no runs yet are named where they belong. Of a study at several scales the largest is shown.
"""

from gptexp.report.declare import (
    Aside,
    Chapter,
    Exhibit,
    Findings,
    Guess,
    Part,
    Question,
    Report,
    Reveal,
    Said,
    Sentences,
    Shown,
    StudyFacts,
    Text,
)

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
        Exhibit("whole-loop", title="The whole loop, with evaluation, a text and a checkpoint"),
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
                    "{initial-loss:gpt2-init:seeds}. A seed may lie a tenth of a nat off the prediction. That comes "
                    "from the text's frequent tokens, and not from their order. That was tried apart from these runs "
                    "(LOG.md has it): with the same tokens shuffled the loss is as far off, and with tokens drawn "
                    "evenly from the vocabulary it is the predicted one.",
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
        Text(
            "How sure are the lowest val losses? With the schedule the lowest was measured at step "
            "{lr-ablation:warmup-cosine:best_val_step}, and its warmup takes "
            "{lr-ablation:warmup-cosine:warmup_steps} steps: where the first comes no later than the second, the "
            "decay had no part in it. A lowest value at the first evaluation after step 0 may be undercut between "
            "two evaluations, and the same run computed again on a GPU can end some hundredths elsewhere. "
            "Differences of that size show nothing with one seed."
        ),
        Exhibit(
            "losses-at-steps",
            "lr-ablation",
            slug="lr-ablation-three-columns",
            title="Two constant rates and the schedule",
            arms=("constant-6e-4", "constant-1e-5", "warmup-cosine"),
        ),
        Exhibit("results", "lr-ablation"),
        Exhibit("differences", "lr-ablation", title="Against warmup + cosine, seed by seed"),
        Exhibit("schedule-explained", "lr-ablation"),
        Exhibit("lr-schedules", "lr-ablation", title="All learning rates"),
        Exhibit("schedule-by-hand", title="The schedule by hand"),
        Exhibit(
            "schedule-of-torch",
            title="The same schedule with torch's schedulers",
            text="A test compares both with the engine's rates at every step.",
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
            "same batches: a warmup or none, and three ways to go on after it. One pair of runs shows no direction "
            "that another seed could not turn: the table of `natural-spikes` below has the warmup over several seeds."
        ),
        Findings("warmup-by-decay"),
        Exhibit("results", "warmup-by-decay", title="A warmup or none, three decays"),
        Exhibit("differences", "warmup-by-decay", title="What the warmup changes, and what the decay"),
        Exhibit("loss-curves", "warmup-by-decay", slug="warmup-by-decay-taken-apart", title="The six schedules"),
        Text("How high is too high? Here the same run at rates half a decade apart, with and without a warmup."),
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
            "The lesson shows clipping as a guard against rare spikes. How often it fires depends on the model and on "
            "the rate. In the runs of `lr-ablation` it fired in {lr-ablation:constant-6e-4:clipped_fraction} of the "
            "steps at a constant 6e-4, in {lr-ablation:warmup-cosine:clipped_fraction} with the schedule and in "
            "{lr-ablation:constant-1e-5:clipped_fraction} at 1e-5; in the clipped run of the figures with the bad "
            "batch in {clipping:clip-outlier:clipped_fraction}. Where it fires in most steps it sets the length of the "
            "gradient that AdamW gets.",
            otherwise="How often clipping fires depends on the model and on the rate; no runs are there to count.",
        ),
        Sentences(("clips-to-threshold", "norms-stay-bounded", "spikes-on-natural-data")),
        Exhibit("natural-spikes", "natural-spikes"),
        Exhibit("natural-spikes-table", "natural-spikes"),
        Exhibit("differences", "natural-spikes", title="What warmup and clipping change at the end, over all seeds"),
        Exhibit("spike-forks", "natural-spikes", optional=True),
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
            text="Both begin with the same batch. The wrong loop never gets past it; the right one takes the next "
            "each time.",
        ),
        Exhibit("loader-estimates", "text-milestones", slug="loader-estimates"),
    ),
)

WATCHING = Chapter(
    "watching",
    "Gibberish becomes words",
    (
        Text("Now and then the model writes. Each pin on the curve is a text, at the step at which it was written."),
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
                    "Not by itself. Every step sees other text, and some text is easier. And this run read its text "
                    "{text-milestones:scheduled:epochs} times: where that is more than a few times the curve has "
                    "teeth, since the loss drops at each new pass over windows that the model has seen. Over the last "
                    "45% of its steps the loss scattered by {text-milestones:scheduled:late_noise} nats around its "
                    "trend (one standard deviation), and the trend fell by {text-milestones:scheduled:late_drift}, to "
                    "{text-milestones:scheduled:final_train_loss}: the trend shows over many steps, not between two.",
                    otherwise="Not by itself. Every step sees other text, and some text is easier.",
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
                    "gradient norm to {clipping:clip-outlier:outlier_norm}. The clipped run ended at a "
                    "train loss of {clipping:clip-outlier:final_train_loss} (without the batch "
                    "{clipping:clip:final_train_loss}), the unclipped one at "
                    "{clipping:no-clip-outlier:final_train_loss} (without {clipping:no-clip:final_train_loss}).",
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

LOOP = Part(
    "loop",
    "The loop you already know",
    (
        Text(
            "You have a GPT that writes gibberish. Today it learns, by the four moves that trained your classifier of "
            "digits: forward, loss, backward, update. Compare the two loops."
        ),
        Shown("loops", "Digits and GPT, side by side", "+ is new, ~ is changed, − stands only on the left."),
        Aside(
            "New, and familiar",
            (
                Text("New: text as training data, a learning rate that moves, gradient clipping."),
                Text("Familiar: the loop, cross-entropy, DataLoader, Adam, train and val loss, checkpoints."),
            ),
        ),
        Text(
            "The four moves haven't changed. New are the two lines that set a learning rate for every step, and the "
            "one that clips the gradient. The data come by steps instead of epochs: `train_iter` gives one batch "
            "after another, and starts over in a new order when the text is through.",
            asserts=("same-heartbeat",),
        ),
    ),
)

TOKENS = Part(
    "tokens",
    "Text becomes training data",
    (
        Text(
            "Tokenize the whole text into one long list of token ids. Cut a window of T of them: "
            "`x = tokens[i : i + T]`. The targets are the same window, one token later: "
            "`y = tokens[i + 1 : i + T + 1]`. The text is its own label.",
            asserts=("target-is-shifted-input",),
        ),
        Reveal(
            "“The cat sat on the mat” is six tokens. How many predictions does it train?",
            (
                Text(
                    "Five: one for each token that has a next one. The model doesn't wait for the last token. Every "
                    "position predicts its next token, all in one forward pass, and the causal mask keeps each from "
                    "looking ahead.",
                    asserts=("t-examples-per-sequence", "all-positions-in-one-pass"),
                ),
                Shown(
                    "trace", "Step through it", "· is a space. It belongs to the token that follows it.", tool="tokens"
                ),
            ),
            Guess("Your guess:", "5", is_measured=False),
        ),
    ),
)

FIRST_LOSS = Part(
    "first-loss",
    "What must the first loss be?",
    (
        Text(
            "The loss is the cross-entropy that you know from ten digits. Only the number of classes is new: one for "
            "each token of the vocabulary. Logits of shape (B, T, vocabulary) become (B·T, vocabulary), targets of "
            "shape (B, T) become (B·T), and the function is the same.",
            asserts=("cross-entropy-same-formula",),
        ),
        Text(
            "So you can check your model before you train it. It has learned nothing yet, and should find every token "
            "equally likely. The logarithm is the natural one, so a loss is counted in nats. e to the power of the "
            "loss is the perplexity: the model is as unsure as if it chose evenly among so many tokens."
        ),
        Reveal(
            "The vocabulary has 50,257 tokens. What will the first loss be?",
            (
                Text(
                    "`−ln(1/50257)` = {initial-loss:gpt2-init:uniform} nats. Measured, over "
                    "{initial-loss:gpt2-init:seeds} (mean, lowest and highest): "
                    "{initial-loss:gpt2-init:initial_val_loss}. It lies a little above, since the first logits aren't "
                    "exactly equal. With their spread theory predicts {initial-loss:gpt2-init:predicted}.",
                    otherwise="`−ln(1/50257)`, the logarithm of the number of tokens. Nobody has measured it here yet.",
                ),
                Shown(
                    "initial-loss-initial-loss",
                    "The first loss of three initialisations",
                    "A dot is a seed. The bar is what theory predicts, the dotted line an even guess.",
                ),
                Text(
                    "A wrong initialisation shows at once. With PyTorch's default the same model starts at "
                    "{initial-loss:pytorch-default:initial_val_loss}: it draws embeddings fifty times as wide as "
                    "GPT-2's 0.02, and they are the output layer, too. If your first loss is far from 10.8, look for "
                    "the mistake before you train.",
                    asserts=("wrong-init-starts-higher",),
                ),
            ),
            Guess("Your guess, in nats:", "{initial-loss:gpt2-init:uniform}", is_measured=False),
        ),
    ),
)

WHOLE_LOOP = Part(
    "full-loop",
    "The whole loop",
    (
        Text(
            "A real training needs three more things, and you know them all: a val loss, a text to read now and then, "
            "and a checkpoint, so that a crash doesn't cost the run."
        ),
        Aside(
            "AdamW",
            (
                Text(
                    "AdamW is Adam with one change: weight decay acts on the weights themselves, not through the "
                    "gradient. Write `optim.AdamW` for `optim.Adam`. It is the usual choice for transformers."
                ),
            ),
        ),
        Aside(
            "One batch, twenty times",
            (
                Text(
                    "For the val loss many loops call `next(iter(val_loader))` twenty times. Each call starts over: "
                    "they average the first batch twenty times, and nothing looks wrong. `islice` takes twenty "
                    "different ones.",
                    asserts=("val-loop-repeats-one-batch",),
                ),
            ),
        ),
        Shown("whole-loop", "The loop that you will run", "A test runs it as it stands here."),
        Text(
            "The curves on this page come from such a loop. It trains GPT-2's small model with a window of "
            "{lr-ablation:warmup-cosine:block_size} tokens ({lr-ablation:warmup-cosine:n_params} parameters; a "
            "longer window has more positions) on TinyShakespeare: {lr-ablation:warmup-cosine:train_tokens} tokens "
            "of plays. A step takes {lr-ablation:warmup-cosine:tokens_per_step} tokens, so "
            "{lr-ablation:warmup-cosine:max_steps} steps read the text {lr-ablation:warmup-cosine:epochs} times. "
            "Where a smaller model answers, the page says so.",
        ),
    ),
)

MOVING_RATE = Part(
    "moving-rate",
    "A learning rate that moves",
    (
        Text(
            "First the old way: one rate, from the first step to the last. It was good enough for digits. The lesson "
            "says that here it fails: 6e-4 explodes, 1e-5 crawls. What do you expect?"
        ),
        Reveal(
            "Train at a constant 6e-4. What does the train loss do?",
            (
                Text(
                    "At a constant 6e-4 it goes from {lr-ablation:constant-6e-4:first_train_loss} to "
                    "{lr-ablation:constant-6e-4:final_train_loss}, and at 1e-5 to "
                    "{lr-ablation:constant-1e-5:final_train_loss}. Now compare the markers, the val loss. Where "
                    "they turn upwards, what the model still learns of its training text no longer helps on another.",
                    otherwise="Compare the lines (train loss) with the markers (val loss).",
                ),
                Shown(
                    "lr-ablation-against-schedule",
                    "Three constant rates and a schedule",
                    "Lines are the train loss, markers the val loss. The loss of single steps is faint, the mean of "
                    "its neighbours strong, and that is read off here; the text quotes means of the ten steps before. "
                    "Same model, same batches; only the rate differs.",
                    tool="curves",
                ),
                Said(
                    "constant-6e-4-explodes",
                    Text(
                        "The gradient is clipped here: the loss is {lr-ablation:constant-6e-4:train_loss@300} at step "
                        "300, and training goes on to step {lr-ablation:constant-6e-4:last_step}. Without clipping it "
                        "is {lesson-rates:constant-6e-4-no-clip:train_loss@300} at step 300 and "
                        "{lesson-rates:constant-6e-4-no-clip:train_loss@600} at step 600, in a run that was trained to "
                        "step {lesson-rates:constant-6e-4-no-clip:last_step}."
                    ),
                ),
                Said(
                    "constant-1e-5-at-10000",
                    Text(
                        "Its loss is {lr-ablation:constant-1e-5:train_loss@2000} at step 2,000, where constant 6e-4 "
                        "has {lr-ablation:constant-6e-4:train_loss@2000}. At step 10,000 it is "
                        "{lr-ablation:constant-1e-5:train_loss@10000}, and the other is "
                        "{lr-ablation:constant-6e-4:train_loss@10000}."
                    ),
                ),
                Said(
                    "schedule-reaches-2",
                    Text(
                        "Its loss is {lr-ablation:warmup-cosine:train_loss@500} at step 500, "
                        "{lr-ablation:warmup-cosine:train_loss@1000} at step 1,000, "
                        "{lr-ablation:warmup-cosine:train_loss@10000} at step 10,000."
                    ),
                ),
            ),
            draw="Draw the train loss of a constant 6e-4 with your finger, your mouse or the arrow keys.",
        ),
        Reveal(
            "Which of the four reaches the lowest val loss?",
            (
                Text(
                    "The lowest val losses: {lr-ablation:warmup-cosine:best_val_loss} with the schedule, "
                    "{lr-ablation:constant-3e-4:best_val_loss} at 3e-4, {lr-ablation:constant-6e-4:best_val_loss} at "
                    "6e-4, {lr-ablation:constant-1e-5:best_val_loss} at 1e-5. How sure is that? Each has "
                    "{lr-ablation:warmup-cosine:seeds}. With one seed you see a direction; a winner takes several.",
                ),
                Text(
                    "Look when, too. The val loss is measured every {lr-ablation:warmup-cosine:eval_interval} steps. "
                    "With the schedule it is lowest at step {lr-ablation:warmup-cosine:best_val_step}, and the "
                    "warmup takes {lr-ablation:warmup-cosine:warmup_steps} steps: what is reached before the warmup "
                    "ends owes nothing to the cosine. And at the end the val losses are "
                    "{lr-ablation:warmup-cosine:val_loss} with the schedule, {lr-ablation:constant-3e-4:val_loss} at "
                    "3e-4, {lr-ablation:constant-6e-4:val_loss} at 6e-4, {lr-ablation:constant-1e-5:val_loss} at "
                    "1e-5. Compare this order with the first.",
                ),
            ),
            Guess(
                "Your guess:",
                choices=(
                    ("constant 6e-4", "{lr-ablation:constant-6e-4:best_val_loss}"),
                    ("constant 3e-4", "{lr-ablation:constant-3e-4:best_val_loss}"),
                    ("constant 1e-5", "{lr-ablation:constant-1e-5:best_val_loss}"),
                    ("warmup + cosine", "{lr-ablation:warmup-cosine:best_val_loss}"),
                ),
            ),
        ),
        Text(
            "A schedule has two phases. The warmup starts near zero and climbs to the peak, because the first steps "
            "start from random weights and AdamW has seen few gradients. The cosine decay comes down again: near a "
            "good solution, large steps jump around it. Remember the Goldilocks zone; now it moves."
        ),
        Shown(
            "lr-ablation-schedule-explained",
            "Warmup and cosine decay",
            "The filled curve is the rate that every step used, as recorded.",
            tool="schedule",
        ),
        Shown("schedule-by-hand", "The schedule by hand", "A test compares it with the engine's rates, to the bit."),
        Text(
            "The loop gives it the step alone. Fill in the other four before: `partial(learning_rate, …)`, "
            "from functools."
        ),
        Shown(
            "schedule-of-torch",
            "The same schedule with torch's schedulers",
            "Give the optimizer the peak as its rate, leave out the lines that set one, and call scheduler.step() "
            "after each optimizer.step().",
        ),
        Reveal(
            "Does a warmup let you train at a higher rate?",
            (
                Text(
                    "A model of {lr-ladder:warmup-1e-3:n_params} parameters, trained at many rates, each with "
                    "{lr-ladder:warmup-1e-3:seeds}. At 1e-3 the run ends at "
                    "{lr-ladder:warmup-1e-3:final_val_loss} with a warmup and at {lr-ladder:cold-1e-3:final_val_loss} "
                    "without one. At 1e-2 it ends at {lr-ladder:warmup-1e-2:final_val_loss} and at "
                    "{lr-ladder:cold-1e-2:final_val_loss}. Others found that what a warmup buys is mostly a higher "
                    "peak (`arXiv 2406.09405`).",
                    otherwise="Nobody has measured it here yet: `gptexp run lr-ladder` does.",
                ),
                Shown(
                    "lr-ladder-lr-ladder",
                    "The same run at many rates",
                    "The final val loss at each peak rate that was measured. Nothing was measured between the dots. "
                    "The dashed line is a bigram model: it only knows which character follows which.",
                    tool="rates",
                ),
            ),
        ),
    ),
)

CLIP = Part(
    "clip",
    "Clipping the gradient",
    (
        Text(
            "Put all gradients into one long vector. If it is longer than 1.0, divide all of them by the same number, "
            "so that it is 1.0 long. The direction stays, and no single batch brings a longer gradient. (AdamW then "
            "divides by its own running scale: the bound is on the gradient, not on the update.)",
            asserts=("clips-to-threshold", "clipping-keeps-direction"),
        ),
        Reveal(
            "One batch goes wrong: a rare token at every position. What does it cost, with clipping and without?",
            (
                Text(
                    "In a model of {clipping:no-clip-outlier:n_params} parameters, without clipping, the gradient norm "
                    "jumps to {clipping:no-clip-outlier:outlier_norm}, and the loss from "
                    "{clipping:no-clip-outlier:loss_before_outlier} to {clipping:no-clip-outlier:outlier_loss}. AdamW "
                    "gets all of that gradient. In the run with clipping the norm is "
                    "{clipping:clip-outlier:outlier_norm} and the loss {clipping:clip-outlier:outlier_loss}: the batch "
                    "is as bad, but AdamW gets its gradient shortened to 1.0.",
                    otherwise="Nobody has measured it here yet: `gptexp run clipping` does.",
                ),
                Shown(
                    "clipping-clip-spike",
                    "The gradient norm around the bad batch",
                    "Before clipping and after it, on a logarithmic axis.",
                ),
                Said(
                    "clipping-saves-a-run",
                    Text(
                        "With clipping the run ends at a train loss of {clipping:clip-outlier:final_train_loss} after "
                        "the bad batch, and at {clipping:clip:final_train_loss} if that batch never came. Without "
                        "clipping it ends at {clipping:no-clip-outlier:final_train_loss} after it, and at "
                        "{clipping:no-clip:final_train_loss} if it never came."
                    ),
                ),
            ),
        ),
        Text(
            "Is clipping a rare rescue, then? In the clipped run with the bad batch it acted on "
            "{clipping:clip-outlier:clipped_fraction} of all steps. In the runs under “Three constant rates and a "
            "schedule” it acted on {lr-ablation:warmup-cosine:clipped_fraction} with the schedule, and on "
            "{lr-ablation:constant-1e-5:clipped_fraction} at a constant 1e-5. Where it acts on most, nearly every "
            "gradient gets the same length. Print how often yours does.",
        ),
    ),
)

WATCH = Part(
    "watch",
    "Watching text improve",
    (
        Text(
            "A loss is hard to picture, so let the model write while it trains. Each pin is a text, at the loss at "
            "which it was written. What does each nat buy?"
        ),
        Shown(
            "text-milestones-pinned-samples",
            "From gibberish to words",
            "The train loss of each step, and the mean of the last ten; on the right as perplexity. Where a text "
            "is read many times the curve falls in stairs, one for each pass.",
            tool="pins",
        ),
        Reveal(
            "Read all the texts",
            (
                Shown("text-milestones-samples", "What it wrote", "Each card has the loss at which it was written."),
                Text(
                    "In these texts the first nats buy line breaks, names and colons; the next ones words; the last "
                    "ones are hard to see. Equal steps in the loss are not equal steps for a reader, and no number "
                    "here says how well a text reads."
                ),
            ),
        ),
        Text(
            "The val loss is lowest at step {text-milestones:scheduled:best_val_step}, with "
            "{text-milestones:scheduled:best_val_loss}. The lower the train loss falls after that, the more of what "
            "sounds like Shakespeare is recited: look a line of the last text up in the corpus.",
        ),
    ),
)

READ_CURVE = Part(
    "read-curve",
    "Reading the loss curve",
    (
        Reveal(
            "Your curve is jagged. Is something wrong?",
            (
                Text(
                    "Not by itself. Every step sees other text, and some text is easier. A text that is read many "
                    "times gives the curve teeth, too: the loss drops at each new pass. Judge by the trend over many "
                    "steps, never by two neighbours."
                ),
            ),
        ),
        Reveal(
            "Your loss jumps and doesn't come back. What happened?",
            (
                Text(
                    "One step was so large that it undid what was learned, or a number left its range. Look at the "
                    "gradient norm of the steps before, go back to a checkpoint, and clip, or lower the rate."
                ),
            ),
        ),
        Reveal(
            "The train loss has come down to 2. Is that good?",
            (
                Text(
                    "Ask for the val loss first. This run's train loss ends at "
                    "{text-milestones:scheduled:final_train_loss}; its val loss was lowest at "
                    "{text-milestones:scheduled:best_val_loss}, in step {text-milestones:scheduled:best_val_step}. "
                    "A large model on a small text memorises. For learning the loop that is fine. For a model that "
                    "others should use, stop where the val loss is lowest.",
                    otherwise="Ask for the val loss first: a train loss alone can be memory.",
                ),
                Shown(
                    "text-milestones-scissors",
                    "Train against val",
                    "The gap between the two grows as the text is learned by heart.",
                ),
            ),
        ),
    ),
)

SUMMARY = Part(
    "summary",
    "What to take with you",
    (
        Text("The training loop is the same loop: forward, loss, backward, update."),
        Text("Text is its own label, shifted by one, and every position is an example."),
        Text("Know your first loss, the logarithm of the vocabulary, before you take the first step."),
        Text("A warmup and a decay move the rate; clipping bounds the gradient. Print what both do in your run."),
        Text("Watch the val loss and read the texts. The train loss alone flatters."),
        Text(
            "What comes next: scaling and efficiency. This loop works, and it is slow. What changes when you want it "
            "fast, and what when the model is a hundred times larger?"
        ),
    ),
)

REPORT = Report(
    name="lesson",
    title="Pretraining: the evidence",
    lead="Every measured number on this page leads to the runs behind it.",
    chapters=(HEARTBEAT, DATA, START, SCHEDULE, PARTS, CLIPPING, VALIDATION, WATCHING, READING, CLAIMS, STUDIES),
    ledger="pretraining",
    reading=(
        LOOP,
        TOKENS,
        FIRST_LOSS,
        WHOLE_LOOP,
        MOVING_RATE,
        CLIP,
        WATCH,
        READ_CURVE,
        SUMMARY,
    ),
    reading_title="Pretraining: the training loop",
    reading_lead="Every measured number here leads to the runs behind it. “The lesson says” quotes the lesson as it "
    "was first written, and the runs answer. Guess before you look.",
)
