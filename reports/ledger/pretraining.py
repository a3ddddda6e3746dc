"""The claim ledger of the lesson "Pretraining: The Training Loop": each checkable sentence of its document, as data.

Document  pretraining-lesson.md, beside this file, as reviewed on 2026-02-09. It is stored with the ledger because the
          tests need it: they check that every numeral of the document occurs in a claim below or in NOT_CLAIMS, and
          that every quote occurs verbatim in its section.
Command   gptexp claims
Rules     gptexp/claims/judge.py; what counts as the lesson's model, and why: gptexp/claims/lesson_model.py

A statement that occurs in several places is one claim with several places; reports show the first.
"""

from gptexp.claims.ledger import Claim, Ledger, NotAClaim, Place, Way

STATE = "Phase 1: Orient — Student State"
CONCEPTS = f"{STATE} > Relevant Concepts (with depths and sources)"
PREREQUISITES = "Phase 2: Analyze > Prerequisites Table"
GAPS = "Phase 2: Analyze > Gap Resolution"
MISCONCEPTIONS = "Phase 2: Analyze > Misconceptions Table"
EXAMPLES = "Phase 2: Analyze > Examples Planned"
ARC = "Phase 3: Design > Narrative Arc"
MODALITIES = "Phase 3: Design > Modalities Planned"
LINKS = "Phase 3: Design > Connections to Prior Concepts"
OUTLINE = "Phase 3: Design > Lesson Outline"
FIRST = "Review — 2026-02-09 (Iteration 1/3) > Findings"
CONSTANT = f"{FIRST} > [CRITICAL] — Misconception #3 (constant LR failure) lacks its planned negative example"
NO_VAL = f"{FIRST} > [IMPROVEMENT] — No validation loss evaluation anywhere in the lesson"
SPIKE = f"{FIRST} > [IMPROVEMENT] — Gradient clipping section lacks the illustrative example from the plan"
ITERATOR = f"{FIRST} > [IMPROVEMENT] — Training loop uses `next(iter(train_loader))` anti-pattern"
ASIDE = f"{FIRST} > [IMPROVEMENT] — Misconception #5 (lower loss = better text) is addressed only in an aside"
NO_CHECKPOINT = f"{FIRST} > [IMPROVEMENT] — No checkpointing mentioned despite student having this at DEVELOPED"
MAT = (
    f'{FIRST} > [POLISH] — Concrete example box title says "The cat sat on" but shows 6 tokens '
    'including "the" and "mat"'
)
SECOND = "Review — 2026-02-09 (Iteration 2/3)"
VAL_LOOP = (
    f"{SECOND} > Findings > [IMPROVEMENT] — Validation evaluation loop uses `next(iter(val_loader))` anti-pattern"
)
QUESTIONS = (
    f"{SECOND} > Findings > [IMPROVEMENT] — Loss curve section is entirely declarative, missing the planned "
    f"diagnostic questions"
)
DASHES = f"{SECOND} > Findings > [POLISH] — Em-dashes with spaces in text milestone labels"
NOTES2 = f"{SECOND} > Review Notes"
THIRD = "Review — 2026-02-09 (Iteration 3/3)"
FIXES = f"{THIRD} > Iteration 2 Fix Verification"
SKULL = f"{THIRD} > Findings > [POLISH] — Skull emoji in constant LR failure example"
NOTES3 = f"{THIRD} > Review Notes"

STEPS = 10_000
LOSS_WHY = (
    "Train loss, mean of ten steps. The lesson writes “~”, and its milestones are 0.5 to 1 nat apart, so a loss within "
    "0.2 of one can't belong to another."
)
TRAIN_WHY = (
    "The lesson's losses are train losses. After 10,000 steps on this text the final val loss mostly shows which run "
    "memorised it least, so the second measure is the lowest val loss of each run. "
)
SIGN_WHY = "A ranking: only the sign counts, so any difference is enough that the seeds can tell from zero."
EXACT_WHY = "A count, so there is no tolerance."
ROUNDING_WHY = "Computed exactly; the tolerance is for float32 rounding."
NO_MEASURE = "Needs human readers: gptexp records no number for how well a text reads."

HELD = {"schedule": "constant", "lr": 6e-4}
SCHEDULED = {"schedule": "warmup-cosine", "lr": 6e-4, "min_lr": 6e-5}
"""The document: the final rate is about a tenth of the peak. Unless an arm says otherwise, warmup is 5 to 10% of the
steps."""
UNCLIPPED = {**HELD, "grad_clip": None}
RATES = {
    "constant-6e-4": HELD,
    "constant-3e-4": {**HELD, "lr": 3e-4},
    "constant-1e-5": {**HELD, "lr": 1e-5},
    "warmup-cosine": SCHEDULED,
}
ARMS = {
    "initial-loss": {
        "gpt2-init": {},
        "padded-vocabulary": {"vocab_size": 50_304},
        "pytorch-default": {"init": "pytorch-default"},
    },
    "lr-ablation": RATES,
    "lesson-rates": {
        **RATES,
        "constant-6e-4-no-clip": UNCLIPPED,
        "constant-6e-4-beta2": {**UNCLIPPED, "beta2": 0.999},
    },
    "warmup-by-decay": {
        "constant": HELD,
        "warmup-constant": {"schedule": "warmup-constant", "lr": 6e-4},
        "cosine": {**SCHEDULED, "warmup_steps": 0},
        "warmup-cosine": SCHEDULED,
    },
    "clipping": {
        "clip": HELD,
        "no-clip": UNCLIPPED,
        "clip-outlier": {**HELD, "outlier_at": 0.6},
        "no-clip-outlier": {**UNCLIPPED, "outlier_at": 0.6},
    },
    "natural-spikes": {
        "cold-no-clip": {**SCHEDULED, "warmup_steps": 0, "grad_clip": None},
        "cold-clip": {**SCHEDULED, "warmup_steps": 0},
        "warm-no-clip": {**SCHEDULED, "grad_clip": None},
        "warm-clip": SCHEDULED,
    },
    "high-rate-precision": {"fp32-no-clip": UNCLIPPED, "fp32-clip": HELD},
    "text-milestones": {"scheduled": SCHEDULED},
    "batch-noise": {f"batch-{size}": {**SCHEDULED, "batch_size": size} for size in (1, 4, 16, 64)},
}
"""The settings that the claims assume for their arms, in addition to the lesson's model. An arm of that name with other
settings judges nothing, and arms of several studies with the same settings are the same trainings."""

MODEL = (
    Claim(
        "parameter-count",
        (
            Place(STATE, "verified parameter counts (~124.4M)"),
            Place(ARC, "124 million parameters, shapes match"),
            Place(ARC, "training a 124M-parameter transformer"),
            Place(OUTLINE, "We have a 124M-parameter GPT"),
            Place(OUTLINE, "training 124M parameters"),
        ),
        "The model has about 124.4 million parameters.",
        numbers=("124.4", "124"),
        quantity="gpt2-parameters",
        stated=124.4,
        tolerance=0.05,
        why="Half a unit of the last digit. Counted with GPT-2's 1,024 positions and the tied embedding once, in "
        "millions; with the lesson's 256 positions there are 0.59 million fewer.",
    ),
    Claim(
        "embedding-matrix",
        (Place(CONCEPTS, "50K x 768 matrix"),),
        "The token embedding is a matrix of 50 thousand rows and 768 columns.",
        numbers=("50", "768"),
        quantity="embedding-parameters",
        stated=38.4,
        tolerance=0.4,
        why="50,000 · 768 = 38.4 million numbers. “50K” is rounded to thousands; half a thousand rows are 0.4 million.",
    ),
    Claim(
        "init-sigma",
        (Place(CONCEPTS, "Normal with sigma=0.02"),),
        "Weights start with a standard deviation of 0.02.",
        numbers=("0.02",),
        quantity="init-sigma",
        stated=0.02,
        tolerance=0.001,
        why="Measured over hundreds of thousands of drawn weights, so the error is far less than 5%.",
    ),
    Claim(
        "residual-init-sigma",
        (Place(CONCEPTS, "residual projection scaling by 1/sqrt(2N)"),),
        "Residual projections start smaller by a factor of 1/√(2N): multiplied by √(2N), they have the same 0.02.",
        numbers=("1", "2"),
        quantity="residual-init-sigma",
        stated=0.02,
        tolerance=0.001,
        why="As for the other weights; N = 12 layers.",
    ),
    Claim(
        "adam-default-lr",
        (Place(CONCEPTS, "defaults lr=0.001"),),
        "PyTorch's Adam has a default learning rate of 0.001.",
        numbers=("0.001",),
        quantity="adam-default-lr",
        stated=0.001,
        why="Read from the signature.",
    ),
    Claim(
        "adamw-decouples-decay",
        (Place(GAPS, "weight decay is applied directly to parameters instead of added to loss"),),
        "AdamW shrinks a weight by lr · weight_decay even if its gradient is zero.",
        quantity="decoupled-decay-difference",
        stated=0.0,
        tolerance=1e-4,
        why="Distance from p·(1 − lr·λ) after one step without gradient. " + ROUNDING_WHY,
    ),
)

LOOP = (
    Claim(
        "same-heartbeat",
        (
            Place(MISCONCEPTIONS, "The structure is identical: forward pass, compute loss, backward, step."),
            Place(OUTLINE, "they are structurally identical — same forward/loss/backward/step pattern"),
            Place(ARC, "is structurally identical to training the 3-parameter linear model"),
        ),
        "Both loops make the same calls in the same order: forward, loss, zero_grad, backward, step.",
        numbers=("3",),
        quantity="same-core",
        stated=1.0,
        why="Read from the source of the two loops, which the page shows and the tests run. The document shows neither "
        "as a whole; the lines that it has of them stand there in its own words, or the claim is refuted.",
    ),
    Claim(
        "extra-lines",
        (
            Place(OUTLINE, "The GPT version has 3-4 extra lines."),
            Place(MODALITIES, "highlights on the 3-4 added lines"),
        ),
        "The GPT loop has 3 to 4 lines that the classifier's doesn't have.",
        numbers=("3", "4"),
        quantity="extra-lines",
        stated=3.5,
        tolerance=0.5,
        why="Lines of the GPT loop that have no counterpart in the other, in the source of the same two loops: those "
        "that "
        "the page marks with a +.",
    ),
    Claim(
        "cross-entropy-same-formula",
        (
            Place(OUTLINE, "same formula, 50K classes instead of 10."),
            Place(LINKS, "Exact same formula, just 50K classes instead of 10."),
            Place(GAPS, "it's the same formula."),
        ),
        "Cross-entropy of a uniform guess is the logarithm of the number of classes, for 10 as for 50,257.",
        numbers=("50", "10"),
        quantity="uniform-loss-difference",
        stated=0.0,
        tolerance=1e-4,
        why=ROUNDING_WHY,
    ),
    Claim(
        "reshape-trick",
        (Place(OUTLINE, "logits (B, T, vocab_size) -> (B*T, vocab_size), targets (B, T) -> (B*T)."),),
        "The loss over flattened positions is the mean of the losses of all positions.",
        quantity="reshaped-loss-difference",
        stated=0.0,
        tolerance=1e-4,
        why=ROUNDING_WHY,
    ),
    Claim(
        "val-loop-repeats-one-batch",
        (
            Place(VAL_LOOP, "the same 20 identical batches (actually the same first batch, 20 times)"),
            Place(VAL_LOOP, "it always returns the first batch from `val_loader`"),
        ),
        "`next(iter(val_loader))` in a loop of 20 gives one batch, 20 times.",
        numbers=("20",),
        quantity="val-batches-seen",
        stated=1,
        why="Different batches among 20. " + EXACT_WHY,
    ),
    Claim(
        "train-iterator-still-random",
        (Place(ITERATOR, "training will still work because shuffle=True re-randomizes each time `iter()` is called"),),
        "With shuffle=True, `next(iter(train_loader))` gives another batch each time.",
        quantity="train-batches-seen",
        relation="above",
        stated=10,
        why="Different batches among 20. A new shuffle hardly ever gives the same 4 of 200 windows twice; the claim "
        "needs more than half.",
    ),
    Claim(
        "cycle-is-right",
        (
            Place(NOTES2, "The `itertools.cycle` fix for the train iterator is the right pattern."),
            Place(ITERATOR, "use an infinite iterator pattern like `itertools.cycle`"),
        ),
        "`itertools.cycle(train_loader)` restarts the loader when it is exhausted, and so shuffles again.",
        quantity="cycle-repeats",
        relation="below",
        stated=1.0,
        tolerance=0.5,
        why="Share of batches in the second round that equal the batch at the same place in the first; after a new "
        "shuffle there are hardly any.",
        instead="`itertools.cycle` keeps every batch of the first epoch in memory and replays them in the same order. "
        "A generator that loops over the loader again shuffles every epoch.",
    ),
)

TEXT = (
    Claim(
        "six-predictions",
        (Place(OUTLINE, '"The cat sat on the mat" -> trace through all 6 prediction tasks from a single sequence.'),),
        "“The cat sat on the mat” makes 6 predictions.",
        numbers=("6",),
        quantity="sentence-predictions",
        stated=6,
        why=EXACT_WHY,
        instead="“The cat sat on the mat” is 6 tokens, and trains {value:.0f} predictions: the last token has none "
        "after it.",
    ),
    Claim(
        "five-examples",
        (Place(MAT, "which produces 5 training examples from 6 tokens"),),
        "The same sentence makes 5 training examples.",
        numbers=("5",),
        quantity="sentence-predictions",
        stated=5,
        why=EXACT_WHY,
    ),
    Claim(
        "six-tokens",
        (
            Place(MAT, "which produces 5 training examples from 6 tokens"),
            Place(MAT, 'uses 6 tokens: "The", "cat", "sat", "on", "the", "mat"'),
        ),
        "“The cat sat on the mat” is 6 tokens of GPT-2's vocabulary.",
        numbers=("6",),
        quantity="sentence-tokens",
        stated=6,
        why=EXACT_WHY,
    ),
    Claim(
        "offset-by-one",
        (
            Place(MISCONCEPTIONS, 'position 0 predicts "cat", position 1 predicts "sat"'),
            Place(EXAMPLES, '"The cat sat on" -> input "The cat sat", target "cat sat on".'),
        ),
        "In “The cat sat”, position 0 predicts “cat” and position 1 “sat”.",
        numbers=("0", "1"),
        quantity="offset-targets",
        stated=2,
        why="How many of the two targets are the words that the lesson names. " + EXACT_WHY,
    ),
    Claim(
        "target-is-shifted-input",
        (
            Place(OUTLINE, "input = tokens[i:i+T], target = tokens[i+1:i+T+1]"),
            Place(LINKS, "input = tokens[:-1], target = tokens[1:]"),
        ),
        "The target of every position of a training window is the next token.",
        numbers=("1",),
        quantity="window-offset",
        stated=1.0,
        why="Share of the positions of a 256-token window. " + EXACT_WHY,
    ),
    Claim(
        "t-examples-per-sequence",
        (
            Place(OUTLINE, "One sequence of length T = T training examples."),
            Place(MISCONCEPTIONS, "A sequence of length T produces T training examples in one forward pass."),
        ),
        "A window of T tokens of input trains T predictions.",
        quantity="targets-per-position",
        stated=1.0,
        why="Targets per position. The window takes T + 1 tokens of text; T tokens alone give T − 1 predictions.",
    ),
    Claim(
        "all-positions-in-one-pass",
        (
            Place(MISCONCEPTIONS, "EVERY position predicts its next token simultaneously"),
            Place(MISCONCEPTIONS, "not T separate forward passes"),
        ),
        "One pass with the causal mask gives each position the same prediction as a pass over its prefix alone.",
        quantity="one-pass-difference",
        stated=0.0,
        tolerance=1e-4,
        why="Largest difference between the logits of a small model. " + ROUNDING_WHY,
    ),
    Claim(
        "uniform-loss",
        (
            Place(OUTLINE, "random predictions over 50K tokens -> -ln(1/50257) ~= 10.8"),
            Place(OUTLINE, "Student computes: -ln(1/50257) ~= 10.8"),
            Place(OUTLINE, "If the untrained model assigns equal probability to all 50,257 tokens"),
        ),
        "A uniform guess over 50,257 tokens costs 10.8 nats.",
        numbers=("50", "1", "50257", "10.8", "50,257"),
        quantity="uniform-loss",
        stated=10.8,
        tolerance=0.05,
        why="Half a unit of the last digit.",
    ),
)

START = (
    Claim(
        "initial-loss",
        (
            Place(OUTLINE, "If initial loss is near this, the model is correctly initialized (uniform predictions)."),
            Place(OUTLINE, "If it's close, initialization is correct."),
        ),
        "The correctly initialised, untrained model starts at the loss that its init predicts: 10.979, near a uniform "
        "guess. (That a model which starts there is rightly initialised is the converse, and isn't tested: one whose "
        "last layer is all zeros starts at a uniform guess, too.)",
        study="initial-loss",
        quantity="gpt2-init:initial_val_loss",
        other="gpt2-init:predicted",
        tolerance=0.1,
        why="GPT-2's init isn't exactly uniform: the variance of its logits adds n_embd·0.02²/2, 0.15 nats at width "
        "768, to ln V. Single seeds lie about a tenth of a nat around that, and the mean of ten is known to half of "
        "it, so a wrong init of a tenth of a nat shows.",
        instead="The untrained model starts at {value:.3f} nats, and its init predicts {other:.3f}.",
    ),
    Claim(
        "initial-loss-is-10.8",
        (
            Place(OUTLINE, "Step 0 (loss ~10.8): Random characters/tokens"),
            Place(OUTLINE, "The loss went from 10.8 to 2.0."),
            Place(NO_VAL, "The loss went from 10.8 to 2.0."),
            Place(QUESTIONS, "The loss went from 10.8 to 2.0."),
            Place(ASIDE, "the leap from 10.8 to 4.0 (random to words) is enormous"),
            Place(DASHES, "Step 0 &mdash; Loss ~10.8"),
            Place(DASHES, "Step 0—Loss ~10.8"),
            Place(DASHES, "Step 0 &ndash; Loss ~10.8"),
            Place(DASHES, "Step 0 | Loss ~10.8"),
            Place(FIXES, "Step 0&mdash;Loss ~10.8"),
        ),
        "The untrained model starts at a loss of about 10.8.",
        numbers=("0", "10.8"),
        study="initial-loss",
        quantity="gpt2-init:initial_val_loss",
        stated=10.8,
        tolerance=0.2,
        why="The lesson writes “~”. The init predicts 0.15 nats more (see `initial-loss`), a wrong one tens of nats, "
        "so "
        "0.2 still tells the two apart.",
        instead="The untrained model starts at {value:.3f} nats, not at {stated:g}: ln 50257 is 10.825, and the "
        "variance of GPT-2's initial logits adds to it.",
    ),
    Claim(
        "wrong-init-starts-higher",
        (Place(OUTLINE, "If it's much higher, something is wrong."),),
        "A wrong initialisation shows in a first loss that is much higher.",
        study="initial-loss",
        quantity="pytorch-default:initial_val_loss",
        relation="above",
        other="gpt2-init:initial_val_loss",
        tolerance=1.0,
        why="“Much”: more than a nat, several times the tolerance for the right init. The wrong init is PyTorch's "
        "default.",
        instead="A wrong initialisation can start as low as the right one: {value:.3f} against {other:.3f}.",
    ),
)

SCHEDULE = (
    Claim(
        "constant-6e-4-explodes",
        (
            Place(NOTES2, "6e-4 explodes at step 300"),
            Place(SKULL, "Step 300: loss NaN."),
            Place(SKULL, "constant LR = 6e-4 failure case"),
            Place(NOTES3, "6e-4 explodes at step 300"),
        ),
        "Training at a constant 6e-4 explodes: the loss is NaN by about step 300.",
        numbers=("300", "6e-4"),
        way="without clipping",
        study="lesson-rates",
        quantity="constant-6e-4-no-clip:diverged@600",
        ways=(
            Way(
                "clipped at 1.0",
                "lr-ablation",
                "constant-6e-4:diverged@600",
                "A constant 6e-4 did not explode: {without} of {n} runs were finite past step 600 (gradients clipped "
                "at 1.0).",
            ),
            Way(
                "without clipping, beta2 0.999",
                "lesson-rates",
                "constant-6e-4-beta2:diverged@600",
                "A constant 6e-4 did not explode, not with PyTorch's beta2 of 0.999 either: {without} of {n} runs "
                "were finite past step 600.",
            ),
        ),
        relation="happens",
        stated=300,
        why="A loss or gradient that isn't finite by step 600, twice the lesson's step, because the exact step depends "
        "on the batches. A run that is finite at step 600 contradicts the lesson. The lesson introduces the rates "
        "before clipping, so runs without clipping are judged first.",
        instead="A constant 6e-4 did not explode: {without} of {n} runs were finite past step 600, without clipping.",
    ),
    Claim(
        "constant-6e-4-unstable",
        (
            Place(MISCONCEPTIONS, "Constant LR at 6e-4: training becomes unstable early"),
            Place(OUTLINE, "High constant LR (6e-4): training destabilizes early"),
            Place(CONSTANT, "Constant LR at 6e-4: training becomes unstable early."),
        ),
        "At a constant 6e-4 training becomes unstable early: the loss spikes or stops being finite.",
        numbers=("6e-4",),
        way="without clipping",
        study="lesson-rates",
        quantity="constant-6e-4-no-clip:unstable@600",
        ways=(
            Way(
                "clipped at 1.0",
                "lr-ablation",
                "constant-6e-4:unstable@600",
                "At a constant 6e-4, with gradients clipped at 1.0, the loss neither spiked nor left the finite "
                "numbers in the first 600 steps of {without} of {n} runs.",
            ),
            Way(
                "without clipping, beta2 0.999",
                "lesson-rates",
                "constant-6e-4-beta2:unstable@600",
                "At a constant 6e-4 the loss neither spiked nor left the finite numbers in the first 600 steps of "
                "{without} of {n} runs, not with PyTorch's beta2 of 0.999 either.",
            ),
        ),
        relation="happens",
        why="Unstable: a spike by the flag's published rule (0.5 nats and six robust deviations above the 25 steps "
        "before) or a loss that isn't finite. Early: the first 600 of 10,000 steps, twice as many as the lesson names "
        "for the explosion.",
        instead="At a constant 6e-4 without clipping the loss neither spiked nor left the finite numbers in the first "
        "600 steps of {without} of {n} runs.",
    ),
    Claim(
        "constant-3e-4-trains",
        (
            Place(MISCONCEPTIONS, "Constant LR at 3e-4: trains OK but suboptimal."),
            Place(CONSTANT, "Constant LR at 3e-4: trains OK but suboptimal."),
        ),
        "A constant 3e-4 trains to the end.",
        numbers=("3e-4",),
        study="lr-ablation",
        quantity="constant-3e-4:diverged",
        relation="never",
        max_steps=STEPS,
        why="“OK”: the run completes with finite numbers.",
        instead="A constant 3e-4 diverged in {k} of {n} runs.",
    ),
    Claim(
        "constant-3e-4-suboptimal",
        (Place(MISCONCEPTIONS, "Constant LR at 3e-4: trains OK but suboptimal."),),
        "A constant 3e-4 ends higher than warmup with cosine decay.",
        numbers=("3e-4",),
        way="by the train loss",
        study="lr-ablation",
        quantity="constant-3e-4:final_train_loss",
        relation="above",
        other="warmup-cosine:final_train_loss",
        ways=(
            Way(
                "by the best val loss",
                "lr-ablation",
                "constant-3e-4:best_val_loss",
                "A constant 3e-4 reaches a val loss of {value:.3f}, the schedule {other:.3f}: the constant rate is not "
                "worse.",
                other="warmup-cosine:best_val_loss",
            ),
        ),
        max_steps=STEPS,
        why=TRAIN_WHY + SIGN_WHY,
        instead="A constant 3e-4 ends at a train loss of {value:.3f}, the schedule at {other:.3f}: the constant rate "
        "is not worse.",
    ),
    Claim(
        "constant-1e-5-at-10000",
        (
            Place(NOTES2, "1e-5 crawls to loss 4.3 at step 10000"),
            Place(NOTES3, "1e-5 crawls to 4.3"),
        ),
        "A constant 1e-5 is at a loss of 4.3 after 10,000 steps.",
        numbers=("1e-5", "4.3", "10000"),
        study="lr-ablation",
        quantity="constant-1e-5:train_loss@10000",
        stated=4.3,
        tolerance=0.2,
        max_steps=STEPS,
        why=LOSS_WHY,
        instead="A constant 1e-5 is at a train loss of {value:.2f} after 10,000 steps.",
    ),
    Claim(
        "constant-1e-5-crawls",
        (
            Place(OUTLINE, "Low constant LR (1e-5): trains but painfully slowly."),
            Place(EXAMPLES, "Too high causes instability; too low is wasteful."),
        ),
        "A constant 1e-5 ends with a much higher train loss than the schedule.",
        numbers=("1e-5",),
        study="lr-ablation",
        quantity="constant-1e-5:final_train_loss",
        relation="above",
        other="warmup-cosine:final_train_loss",
        tolerance=0.5,
        max_steps=STEPS,
        why="“Painfully”: more than half a nat, the smallest step between the lesson's milestones. Train loss, because "
        "the val loss of a fast run may have risen again by overfitting.",
        instead="A constant 1e-5 ends only {gap:.2f} nats away from the schedule's train loss ({value:.2f} against "
        "{other:.2f}).",
    ),
    Claim(
        "schedule-reaches-2",
        (
            Place(NOTES2, "the schedule reaches loss 2.0"),
            Place(NOTES3, "schedule reaches 2.0"),
        ),
        "Warmup with cosine decay reaches a loss of 2.0 at step 10,000.",
        numbers=("2.0",),
        study="lr-ablation",
        quantity="warmup-cosine:train_loss@10000",
        stated=2.0,
        tolerance=0.2,
        max_steps=STEPS,
        why=LOSS_WHY,
        instead="With warmup and cosine decay the train loss is {value:.2f} at step 10,000.",
    ),
    Claim(
        "schedule-beats-constant",
        (Place(MISCONCEPTIONS, "The schedule is not a trick"),),
        "Warmup with cosine decay ends lower than the same peak rate held constant.",
        way="by the train loss",
        study="lr-ablation",
        quantity="warmup-cosine:final_train_loss",
        relation="below",
        other="constant-6e-4:final_train_loss",
        ways=(
            Way(
                "by the best val loss",
                "lr-ablation",
                "warmup-cosine:best_val_loss",
                "The schedule reaches a val loss of {value:.3f}, the constant 6e-4 {other:.3f}: by this measure the "
                "schedule is not better.",
                other="constant-6e-4:best_val_loss",
            ),
        ),
        max_steps=STEPS,
        why=TRAIN_WHY + SIGN_WHY,
        instead="At the end the schedule has a train loss of {value:.3f}, the constant 6e-4 one of {other:.3f}: by "
        "this measure the schedule is not better.",
    ),
    Claim(
        "constant-rate-does-not-converge",
        (
            Place(
                MISCONCEPTIONS,
                "Learning rate scheduling is an optimization trick — the model would still converge with a constant "
                "LR.",
            ),
        ),
        "With a constant learning rate the model doesn't converge (the lesson calls the opposite a misconception).",
        way="at the schedule's peak rate",
        study="lr-ablation",
        quantity="constant-6e-4:final_train_loss",
        relation="above",
        other="warmup-cosine:final_train_loss",
        tolerance=0.5,
        ways=(
            Way(
                "at half that rate",
                "lr-ablation",
                "constant-3e-4:final_train_loss",
                "With a constant 3e-4 the model converges: its train loss ends at {value:.3f}, that of the schedule at "
                "{other:.3f}.",
            ),
        ),
        max_steps=STEPS,
        why="A run that ends within half a nat of the schedule's train loss, the smallest step between the lesson's "
        "milestones, has converged. A diverged run has not.",
        instead="With a constant 6e-4 the model converges: its train loss ends at {value:.3f}, that of the schedule at "
        "{other:.3f}.",
    ),
    Claim(
        "two-techniques-are-essential",
        (
            Place(ARC, "two practical techniques become essential that weren't needed for MNIST"),
            Place(ARC, "two practical additions that become necessary at scale"),
        ),
        "Without learning rate scheduling, or without gradient clipping, training fails.",
        way="without scheduling",
        study="lr-ablation",
        quantity="constant-6e-4:best_val_loss",
        relation="above",
        other="warmup-cosine:best_val_loss",
        tolerance=0.5,
        ways=(
            Way(
                "without clipping",
                "natural-spikes",
                "warm-no-clip:best_val_loss",
                "Clipping is not essential: without it the best val loss is {value:.3f}, with it {other:.3f}.",
                other="warm-clip:best_val_loss",
            ),
        ),
        max_steps=STEPS,
        why="“Essential”: without it a run diverges, or its best val loss is more than half a nat higher, the smallest "
        "step between the lesson's milestones.",
        instead="Scheduling is not essential: at a constant 6e-4 the best val loss is {value:.3f}, with warmup and "
        "cosine "
        "decay {other:.3f}.",
    ),
    Claim(
        "cosine-finds-lower",
        (Place(MISCONCEPTIONS, "cosine decay finds lower loss"),),
        "Cosine decay alone, without warmup, finds a lower loss than the constant rate.",
        study="warmup-by-decay",
        quantity="cosine:best_val_loss",
        relation="below",
        other="constant:best_val_loss",
        max_steps=STEPS,
        why="The lowest val loss of each run, because “finds” can't mean the last loss if runs overfit. " + SIGN_WHY,
        instead="Cosine decay alone finds no lower loss: its best val loss is {value:.3f}, the constant rate's "
        "{other:.3f}.",
    ),
    Claim(
        "warmup-avoids-instability",
        (
            Place(MISCONCEPTIONS, "Warmup avoids the instability"),
            Place(MODALITIES, "random weights are fragile — big updates early could send you somewhere unrecoverable"),
        ),
        "Without warmup the same constant rate becomes unstable and ends higher.",
        study="warmup-by-decay",
        quantity="constant:best_val_loss",
        relation="above",
        other="warmup-constant:best_val_loss",
        tolerance=0.05,
        max_steps=STEPS,
        why="“Unrecoverable” must show in the best val loss by more than 0.05 nats, about the difference between "
        "seeds.",
        instead="Without warmup the constant rate reaches {value:.3f}, with warmup {other:.3f}: nothing unrecoverable "
        "has happened.",
    ),
    Claim(
        "recorded-lr-follows-plan",
        (Place(OUTLINE, "LR schedule following the planned curve"),),
        "The learning rate of every step is the planned one.",
        study="lr-ablation",
        quantity="warmup-cosine:lr_error",
        stated=0.0,
        tolerance=1e-6,
        of_the_loop=True,
        why="Largest deviation from the formula as a share of the peak; records hold the rate with all digits. The "
        "claim is about the loop, so any run may judge it.",
        instead="The recorded learning rate deviates from the plan by up to {value:.2g} of its peak.",
    ),
)

CLIPPING = (
    Claim(
        "clips-to-threshold",
        (
            Place(SPIKE, "Clipping scales it down to 1.0"),
            Place(SPIKE, "That 12.3 is an outlier"),
            Place(OUTLINE, "if the global gradient norm exceeds 1.0, scale all gradients down proportionally"),
        ),
        "Clipping at 1.0 scales a gradient of norm 12.3 down to 1.0.",
        numbers=("1.0", "12.3"),
        quantity="clipped-norm",
        stated=1.0,
        tolerance=1e-3,
        why=ROUNDING_WHY,
    ),
    Claim(
        "clipping-keeps-direction",
        (Place(SPIKE, "preserving the direction but bounding the damage"),),
        "Clipping doesn't change the direction of the gradient.",
        quantity="clipped-direction",
        stated=1.0,
        tolerance=1e-3,
        why="Cosine of the angle between the gradient before and after clipping. AdamW then divides by its own running "
        "scale, so the bound on the gradient is no bound on the update.",
    ),
    Claim(
        "spikes-on-natural-data",
        (
            Place(NOTES2, "(norm values 0.83, 0.61, 0.92, 12.3, 0.74)"),
            Place(SPIKE, "gradient norms like [0.8, 0.6, 0.9, 12.3, 0.7]"),
            Place(GAPS, "occasional large gradients from long sequences/attention instability"),
        ),
        "On natural data, without clipping, a batch now and then has a gradient norm like 12.3, far above the others.",
        numbers=("12.3",),
        way="without warmup",
        study="natural-spikes",
        quantity="cold-no-clip:largest_spike",
        ways=(
            Way(
                "with warmup",
                "natural-spikes",
                "warm-no-clip:largest_spike",
                "With warmup the largest spike of a run on natural data has a gradient norm of {value:.2f} (0: none); "
                "one like {stated:g} was not seen.",
            ),
            Way(
                "at a constant rate",
                "clipping",
                "no-clip:largest_spike",
                "At a constant 6e-4 the largest spike of a run on natural data has a gradient norm of {value:.2f} (0: "
                "none); one like {stated:g} was not seen.",
            ),
        ),
        relation="above",
        stated=12.3,
        max_steps=STEPS,
        why="A spike is a norm of more than four times the median of the 25 steps before; the largest spike of a run "
        "must exceed the lesson's example. The lesson expects it early in training, where warmup matters most.",
        instead="On natural data the largest spike of a run without warmup has a gradient norm of {value:.2f} (0: "
        "none); one like {stated:g} was not seen.",
    ),
    Claim(
        "typical-norm-under-1",
        (
            Place(NOTES2, "(norm values 0.83, 0.61, 0.92, 12.3, 0.74)"),
            Place(SPIKE, "gradient norms like [0.8, 0.6, 0.9, 12.3, 0.7]"),
        ),
        "Between spikes the gradient norm is below 1, so clipping leaves most steps unchanged.",
        numbers=("0.83", "0.61", "0.92", "0.74", "0.8", "0.6", "0.9", "0.7"),
        study="clipping",
        quantity="no-clip:median_grad_norm",
        relation="below",
        stated=1.0,
        max_steps=STEPS,
        way="without clipping",
        ways=(
            Way(
                "at a constant 6e-4, before clipping",
                "lr-ablation",
                "constant-6e-4:median_grad_norm",
                "At a constant 6e-4 the median gradient norm before clipping is {value:.2f}.",
            ),
            Way(
                "with the schedule, before clipping",
                "lr-ablation",
                "warmup-cosine:median_grad_norm",
                "With the schedule the median gradient norm before clipping is {value:.2f}.",
            ),
            Way(
                "at a constant 1e-5, before clipping",
                "lr-ablation",
                "constant-1e-5:median_grad_norm",
                "At a constant 1e-5 the median gradient norm before clipping is {value:.2f}.",
            ),
        ),
        why="The median of all steps against the threshold of 1.0. How large a gradient is depends on how far the "
        "training has come, and so on the rate.",
        instead="The median gradient norm without clipping is {value:.2f}: clipping at 1.0 acts in most steps.",
    ),
    Claim(
        "large-norms-early",
        (Place(OUTLINE, "attention can produce occasional large gradients, especially early in training"),),
        "The largest gradients occur in the first tenth of training.",
        study="clipping",
        quantity="no-clip:early_max_norm",
        relation="above",
        other="no-clip:late_max_norm",
        max_steps=STEPS,
        why="Largest norm in the first tenth of the steps against that of all other steps, within each run. "
        + SIGN_WHY,
        instead="The largest gradients occur later: norm {value:.2f} in the first tenth of the steps, {other:.2f} "
        "after it.",
    ),
    Claim(
        "norms-stay-bounded",
        (Place(OUTLINE, "gradient norms staying bounded"),),
        "Gradient norms don't grow: after the first tenth of training none exceeds the largest before.",
        study="text-milestones",
        quantity="scheduled:late_max_norm",
        relation="below",
        other="scheduled:early_max_norm",
        max_steps=STEPS,
        why="Norms before clipping of the scheduled, clipped run, within each run; those after clipping are bounded by "
        "construction. The largest of all are those of the first steps, from random weights. " + SIGN_WHY,
        instead="Gradient norms grow: the largest is {value:.2f} after the first tenth of training and {other:.2f} "
        "in it.",
    ),
    Claim(
        "clipping-saves-a-run",
        (
            Place(EXAMPLES, "With clipping, the spike is bounded."),
            Place(EXAMPLES, "how clipping prevents the spike from corrupting learned weights"),
        ),
        "A spike costs the clipped run less than the run without clipping.",
        way="by the train loss",
        study="clipping",
        quantity="clip-outlier:final_train_loss - clip:final_train_loss",
        relation="below",
        other="no-clip-outlier:final_train_loss - no-clip:final_train_loss",
        ways=(
            Way(
                "by the final val loss",
                "clipping",
                "clip-outlier:final_val_loss - clip:final_val_loss",
                "By its final val loss an outlier batch costs the clipped run {value:.3f} nats and the run without "
                "clipping {other:.3f}: here clipping saved nothing.",
                other="no-clip-outlier:final_val_loss - no-clip:final_val_loss",
            ),
        ),
        max_steps=STEPS,
        why="The spike is a labelled outlier batch at 60% of the steps. Its cost is the loss of the run with it minus "
        "that of the same run without it, because clipping also changes runs without a spike. Train loss first, "
        "because "
        "after many passes over the text the final val loss shows what was memorised. " + SIGN_WHY,
        instead="An outlier batch costs the clipped run {value:.3f} nats and the run without clipping {other:.3f}: "
        "here clipping saved nothing.",
    ),
    Claim(
        "spikes-undo-steps",
        (
            Place(EXAMPLES, "Without clipping, occasional spikes can undo many steps of training."),
            Place(ARC, "occasional large gradients from long sequences can corrupt an entire training run"),
        ),
        "Without clipping, a run with a spike ends higher than the same run without the spike.",
        way="by the train loss",
        study="clipping",
        quantity="no-clip-outlier:final_train_loss",
        relation="above",
        other="no-clip:final_train_loss",
        ways=(
            Way(
                "by the final val loss",
                "clipping",
                "no-clip-outlier:final_val_loss",
                "Without clipping, the run with the outlier batch ends at a val loss of {value:.3f}, the same run "
                "without it at {other:.3f}: the run has recovered from the spike.",
                other="no-clip:final_val_loss",
            ),
        ),
        max_steps=STEPS,
        why="Same seed and batches, one labelled outlier batch at 60% of the steps. Train loss first, as for "
        "`clipping-saves-a-run`. " + SIGN_WHY,
        instead="Without clipping, the run with the outlier batch ends at a train loss of {value:.3f}, the same run "
        "without it at "
        "{other:.3f}: the run has recovered from the spike.",
    ),
)

CURVES = (
    *(
        Claim(
            f"loss-at-step-{step}",
            places,
            f"At step {step:,} the loss is about {loss}.",
            numbers=(str(step), f"{loss}"),
            study="text-milestones",
            quantity=f"scheduled:train_loss@{step}",
            stated=loss,
            tolerance=0.2,
            max_steps=STEPS,
            why=LOSS_WHY,
            instead=f"At step {step:,} the train loss is {{value:.2f}}.",
        )
        for step, loss, places in (
            (500, 4.0, (Place(OUTLINE, "Step 500 (loss ~4.0)"),)),
            (2000, 3.0, (Place(OUTLINE, "Step 2000 (loss ~3.0)"),)),
            (5000, 2.5, (Place(OUTLINE, "Step 5000 (loss ~2.5)"),)),
            (
                10000,
                2.0,
                (
                    Place(OUTLINE, "Step 10000 (loss ~2.0)"),
                    Place(OUTLINE, "The loss went from 10.8 to 2.0."),
                    Place(NO_VAL, "The loss went from 10.8 to 2.0."),
                    Place(QUESTIONS, "The loss went from 10.8 to 2.0."),
                ),
            ),
        )
    ),
    Claim(
        "curve-falls",
        (Place(OUTLINE, "loss curve descending (noisy but downward)"),),
        "The train loss ends below where it began.",
        study="text-milestones",
        quantity="scheduled:final_train_loss",
        relation="below",
        other="scheduled:first_train_loss",
        tolerance=1.0,
        max_steps=STEPS,
        why="More than a nat below the first step's loss, which is more than noise.",
        instead="The train loss ends at {value:.2f} and began at {other:.2f}.",
    ),
    Claim(
        "curve-is-jagged",
        (
            Place(MISCONCEPTIONS, "jagged with clear downward trend but lots of local variation"),
            Place(OUTLINE, "Loss noise is normal"),
        ),
        "From one step to the next the loss varies more than its trend moves.",
        study="text-milestones",
        quantity="scheduled:noise",
        relation="above",
        other="scheduled:trend_per_step",
        why="Standard deviation around the smoothed curve against the mean change of that curve per step, both after "
        "the first tenth. " + SIGN_WHY,
        instead="The loss scatters by {value:.3f} nats around its trend, which moves by {other:.3f} per step.",
    ),
    Claim(
        "noisier-early",
        (Place(MISCONCEPTIONS, "Language model loss is noisy, especially early in training."),),
        "The loss is noisier in the first tenth of training than after it.",
        study="text-milestones",
        quantity="scheduled:early_noise",
        relation="above",
        other="scheduled:later_noise",
        why="Each step's loss against the mean of its two neighbours, so that the steep curve of the first steps is no "
        "noise. In nats: of a run that ends with its text known by heart little can scatter later. " + SIGN_WHY,
        instead="The loss is not noisier early: from step to step it scatters by {value:.3f} nats in the first tenth "
        "of "
        "training and by {other:.3f} after it.",
    ),
    Claim(
        "noise-is-batches",
        (
            Place(OUTLINE, "(Different batches have different difficulty levels)"),
            Place(MISCONCEPTIONS, "Some batches have easy sequences, some have hard ones."),
        ),
        "The noise comes from the batches: losses of batches of 1 window scatter more than those of 64.",
        study="batch-noise",
        quantity="batch-1:noise",
        relation="above",
        other="batch-64:noise",
        why="If it had another cause, averaging over more windows would not lower it. As many steps of larger batches "
        "see more text and end lower, and where a batch of 1 runs in another precision that differs, too. " + SIGN_WHY,
        instead="Larger batches don't scatter less: {value:.3f} nats with 1 window, {other:.3f} with 64.",
    ),
    Claim(
        "mnist-curves-are-smooth",
        (Place(MISCONCEPTIONS, "MNIST training curves are relatively smooth with small models on curated data."),),
        "From one step to the next a language model's loss rises more often than a classifier's.",
        study="text-milestones",
        quantity="scheduled:rising_share@290",
        relation="above",
        other="digits-rising-share",
        why="“Relatively”: against the language model, over as many steps. A smooth curve that falls never rises; one "
        "of pure noise rises at every second step. The classifier: scikit-learn's handwritten digits, two layers, Adam "
        "at 0.001, batches of 64, ten epochs (290 steps), three seeds. MNIST's own digits are no part of a package "
        "that can be installed. " + SIGN_WHY,
        instead="Over 290 steps a language model's loss rises at {value:.0%} of them, a classifier's at {other:.0%}: "
        "the classifier's curve is not smoother.",
    ),
    Claim(
        "noisier-than-mnist",
        (Place(OUTLINE, "Language model loss is inherently noisier than MNIST"),),
        "A language model's loss scatters more around its trend than a classifier's.",
        study="text-milestones",
        quantity="scheduled:noise",
        relation="above",
        other="digits-noise",
        why="Standard deviation around the smoothed curve in nats, of the language model and of the classifier of "
        "`mnist-curves-are-smooth`. Batches have thousands of tokens and 64 images, as both are usually trained; noise "
        "falls with the size of the batch, and once the text is known by heart little is left that could scatter: the "
        "longest run judges, and the shorter ones stand beside it. " + SIGN_WHY,
        instead="A language model's loss scatters by {value:.3f} nats around its trend, and a classifier's by "
        "{other:.3f}:"
        " it is not noisier.",
    ),
    Claim(
        "overfitting-is-inevitable",
        (Place(OUTLINE, "with a small dataset and a large model, overfitting is inevitable"),),
        "The val loss rises again before the end.",
        study="text-milestones",
        quantity="scheduled:val_rise",
        relation="above",
        stated=0.05,
        max_steps=STEPS,
        why="The last val loss is more than 0.05 nats above the lowest on the same windows; 0.05 is about the "
        "difference between seeds.",
        instead="The val loss ends only {value:.3f} nats above its minimum: in 10,000 steps there is no significant "
        "overfitting.",
    ),
    Claim(
        "memorises-shakespeare",
        (Place(OUTLINE, "the model will eventually memorize Shakespeare"),),
        "The model becomes much better on the text that it trained on than on other text.",
        study="text-milestones",
        quantity="scheduled:val_loss",
        relation="above",
        other="scheduled:final_train_loss",
        tolerance=1.0,
        max_steps=STEPS,
        why="More than a nat between the last val loss, on the fixed subset, and the train loss at the end: on seen "
        "text the right token gets e times the probability.",
        instead="At the end the val loss is {value:.2f} and the train loss {other:.2f}: the model memorises little in "
        "10,000 steps.",
    ),
)

UNMEASURED = (
    Claim(
        "text-at-each-loss",
        (
            Place(MISCONCEPTIONS, "A model with loss 4.0 produces gibberish."),
            Place(MISCONCEPTIONS, "Loss 3.0 produces word-like fragments."),
            Place(MISCONCEPTIONS, "Loss 2.5 produces grammatical fragments."),
            Place(MISCONCEPTIONS, "Loss 2.0 produces mostly coherent sentences."),
            Place(EXAMPLES, "(loss 6.0 -> 4.0 -> 3.0 -> 2.0)"),
            Place(MODALITIES, "Actual generated text at loss 6.0, 4.0, 3.0, 2.5, 2.0 from a real training run."),
        ),
        "At a loss of 4.0 the model writes gibberish, at 3.0 word-like fragments, at 2.5 grammatical fragments, at 2.0 "
        "mostly coherent sentences.",
        numbers=("6.0", "4.0", "3.0", "2.5", "2.0"),
        why=NO_MEASURE
        + " The study `text-milestones` keeps samples at these losses. The document also contradicts itself: its "
        "outline already has word-like fragments at 4.0 and phrases at 3.0.",
    ),
    Claim(
        "first-leap-is-dramatic",
        (
            Place(OUTLINE, "Going from loss 6.0 to 4.0 is a dramatic qualitative leap"),
            Place(MISCONCEPTIONS, "Going from 4.0 to 3.0 is a dramatic qualitative leap"),
            Place(ASIDE, "the leap from 10.8 to 4.0 (random to words) is enormous"),
        ),
        "The first decreases of the loss change the text most.",
        numbers=("6.0", "4.0", "3.0", "10.8"),
        why=NO_MEASURE,
    ),
    Claim(
        "last-step-is-subtle",
        (
            Place(MISCONCEPTIONS, "going from 2.0 to 1.8 is subtle"),
            Place(OUTLINE, "Going from 2.0 to 1.8 is subtle."),
            Place(ASIDE, "The leap from 2.5 to 2.0 is subtle."),
        ),
        "Late decreases of the loss hardly change the text.",
        numbers=("2.0", "1.8", "2.5"),
        why=NO_MEASURE,
    ),
    Claim(
        "loss-to-quality-is-logarithmic",
        (
            Place(MISCONCEPTIONS, "BUT the relationship is logarithmic, not linear."),
            Place(ASIDE, "The relationship between loss and text quality is logarithmic, not linear."),
            Place(OUTLINE, "The loss-to-quality mapping is nonlinear"),
        ),
        "The quality of the text depends on the loss logarithmically.",
        why=NO_MEASURE + " Without one, a logarithm can't be told from any other curve that flattens.",
    ),
)

NOT_CLAIMS = (
    NotAClaim(r"\b\d\.\d\.\d\b", "the number of another lesson"),
    NotAClaim(r"Module \d\.\d|\*\*Module:\*\* \d\.\d", "the number of a module"),
    NotAClaim(r"Series \d(?:-\d)?", "the number of a series"),
    NotAClaim(r"Lesson \d(?: of \d)?|`4-3-2-pretraining\.ipynb`", "the number of a lesson, or its notebook"),
    NotAClaim(r"Phase \d:", "a heading's number"),
    NotAClaim(r"[Ss]ection \d+", "the number of a section of the page"),
    NotAClaim(r"[Ll]ines? \d+(?:-\d+)?(?:, \d+)*", "line numbers of the page's source"),
    NotAClaim(r"[Ii]terations? \d(?:/\d| and \d)?", "the number of a review"),
    NotAClaim(r"\d{4}-\d\d-\d\d", "a date"),
    NotAClaim(r"(?:Critical|Improvement|Polish): \d", "a count of review findings"),
    NotAClaim(r"All 10 findings", "a count of review findings"),
    NotAClaim(r"2 critical issues, 7 improvement issues, and 5 polish issues", "a count of review findings"),
    NotAClaim(
        r"Misconception #\d|misconception #\d|outline item 9|\(point 3,|GradientCards 1 and 3|Option 3 is",
        "a place in the plan",
    ),
    NotAClaim(
        r"New concept \d|concepts?(?: in this lesson:\*\*|:) ?\d|<= 3 new concepts \(exactly 3:", "a count of concepts"
    ),
    NotAClaim(r"^ *\d+\. (?=\*\*|Text dataset|Learning rate|Gradient clipping)", "the number of a list's item"),
    NotAClaim(r"(?<=[ :])\(\d\) (?=[A-Za-z\"])", "the number of an item in running text"),
    NotAClaim(r"all 5 classes", "a count of the model's Python classes, from the lesson before"),
    NotAClaim(r"\d-\d paragraphs|Add \d-\d lines|add \d-\d sentences", "how much to write"),
    NotAClaim(
        r"(?:at least|At least) \d (?:modalities|positive|misconceptions)|\+ 1 negative|\(4 positive|5 "
        r"modalities|\(5 misconceptions",
        "a checklist's count",
    ),
    NotAClaim(r"wrongness score v3|Wrongness score v2", "a name"),
    NotAClaim(r"only use the 4 tokens mentioned", "a suggestion, not a statement"),
    NotAClaim(r"but shows 6 tokens including", "a heading of a review about the page, not about training"),
    NotAClaim(r"x_1,\.\.\.,x_\{t-1\}", "an index in a formula"),
    NotAClaim(r"max_norm=1\.0", "a setting in code"),
    NotAClaim(r"block_size \(e\.g\., 256 tokens\)", "a setting: an example of a context length"),
    NotAClaim(
        r"first ~5-10% of training|remaining 90-95%|to ~10% of peak", "a setting of a recipe, not a result of it"
    ),
    NotAClaim(r"\(10 classes\)|10-class classification", "about the classifier of an earlier lesson"),
    NotAClaim(
        r"over a 50K vocabulary|over 50K tokens and how|\(50K vocab, all positions\)",
        "the size of the vocabulary, mentioned in passing",
    ),
    NotAClaim(
        r"Float16 forward, float32 gradients\. 4-line addition|with float32 precision",
        "about another lesson's subject, precision",
    ),
    NotAClaim(r"100x bigger", "a question about larger models"),
    NotAClaim(r"values at step 100/500/1000 for each case", "a suggestion of what to show"),
    NotAClaim(
        r"if training crashes at step 8000|training a model for 10,000 steps", "a setting, and a hypothetical crash"
    ),
    NotAClaim(r"spiked at step 3000", "a question about a hypothetical curve"),
    NotAClaim(r"\d+px", "the size of a picture"),
    NotAClaim(r"`\\u2620\\uFE0F`", "the code of a character"),
)

LEDGER = Ledger(
    document="pretraining-lesson.md",
    claims=(*MODEL, *LOOP, *TEXT, *START, *SCHEDULE, *CLIPPING, *CURVES, *UNMEASURED),
    not_claims=NOT_CLAIMS,
    arms=ARMS,
)
