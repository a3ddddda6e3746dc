# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Pretraining: the training loop
#
# Your GPT writes gibberish. Today it learns. The loop is the one that you know from MNIST: forward, loss, backward,
# step. Three things are new: how text becomes training examples, a learning rate that changes on the way, and a
# gradient that is clipped.
#
# **Exercises.** Where a cell says `# Your line`, write one or two lines of plain PyTorch in place of the `...`, run the
# cell, then run the check below it. If something is wrong, the check says what, in a sentence.
#
# **Guesses.** Before you see a result, you are asked what you expect. Set the variable `guess_...` and run on. `None`
# means no guess. At the end your guesses stand beside what came out. A wrong guess costs nothing: it shows you where
# to look.

# %%
GPTEXP = "gptexp==0.1.0"  # or the path of a wheel or a checkout, or the address of a repository
try:
    import gptexp
except ImportError:
    import importlib
    import subprocess
    import sys

    print(f"Installing {GPTEXP}, which may take some minutes ...")
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", GPTEXP], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise RuntimeError(
            f"{GPTEXP} can't be installed ({reason}). Check the network, or set GPTEXP above to another version, "
            "to the path of a wheel or a checkout, or to the address of a repository, and run this cell again."
        ) from None
    importlib.invalidate_caches()
    import gptexp
if GPTEXP.partition("==")[2] not in ("", gptexp.__version__):
    print(f"This notebook was written for {GPTEXP}, and you have {gptexp.__version__}: its cells may need changes.")

# %%
import math
import os
import time
from itertools import islice, pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from gptexp.config import ModelConfig
from gptexp.data.baselines import count_baselines
from gptexp.data.batches import load_tokens
from gptexp.data.corpus import load_corpus
from gptexp.data.tokenizer import load_gpt2_tokenizer
from gptexp.model.gpt import GPT
from gptexp.notebook import (
    GuessTable,
    Samples,
    check_evaluate,
    check_loss,
    check_schedule,
    check_train_step,
    check_windows,
    compare,
    plot_losses,
    plot_norms,
    plot_rates,
    quote_lesson,
    show_predictions,
    show_study,
    track,
)
from gptexp.training.sample import generate

started = time.perf_counter()
device = "cuda" if torch.cuda.is_available() else "cpu"
if device == "cpu":
    torch.set_num_threads(1)  # steps as small as ours are fastest on one core

MAX_STEPS = int(os.environ.get("LESSON_STEPS", "800"))  # of your own training; more of them help, and take longer
STUDY_STEPS = int(os.environ.get("LESSON_STUDY_STEPS", "60"))  # of each run of the experiments at the end
guesses = {}  # your guesses and what came out, question by question
print(f"gptexp {gptexp.__version__}, PyTorch {torch.__version__}, device {device}, {MAX_STEPS} steps")

# %% [markdown]
# ## Phase 1: load the text and tokenize it
#
# The text is TinyShakespeare. Without a network you get other text, and the next cell says which.

# %%
corpus = load_corpus(None)
print(f"{corpus.name}: {len(corpus.text):,} characters, from {corpus.source}\n")
print(corpus.text[:250])

# %% [markdown]
# A model reads tokens, not text. GPT-2's tokenizer cuts this sentence into pieces:

# %%
gpt2 = load_gpt2_tokenizer()
sentence = "The cat sat on the mat"
print([gpt2.decode([token]) for token in gpt2.encode(sentence)])

# %% [markdown]
# **Guess.** In training every position predicts the token after it. How many predictions does this one sentence train?
# The lesson gives two answers:

# %%
quote_lesson("six-predictions", "five-examples")

# %%
# SOLUTION
guess_predictions = 5
# EXERCISE
# guess_predictions = None  # a number
# END

# %%
n_predictions = show_predictions(sentence, gpt2)
guesses["predictions in “The cat sat on the mat”"] = compare(guess_predictions, n_predictions)

# %% [markdown]
# All of them are computed in *one* forward pass. The causal mask hides from each position what comes after it.
#
# For your own training we use a smaller vocabulary: one token for each character. The model is small, too, so that a
# laptop gets from gibberish to words in a minute or two. GPT-2's vocabulary comes back in phase 6.

# %%
tokens = load_tokens(corpus, "char")
VOCAB_SIZE = tokens.tokenizer.vocab_size
train_tokens = torch.from_numpy(tokens.train.astype("int64"))
val_tokens = torch.from_numpy(tokens.val.astype("int64"))
print(f"{VOCAB_SIZE} characters: {''.join(tokens.tokenizer.vocabulary)!r}")
print(f"{len(train_tokens):,} train tokens, {len(val_tokens):,} val tokens")

# %% [markdown]
# ## Phase 2: Dataset and DataLoader
#
# The text is cut into windows of `block_size` tokens that lie side by side. A window is an example with as many
# predictions as it has tokens: the target of each position is the token that follows.
#
# **Exercise 1: the target.** The input `x` is given. Cut out `y`.


# %% exercise="Windows"
class Windows(Dataset):
    """Window i is the tokens from i * block_size on. Its target is the same piece of text, one token later."""

    def __init__(self, tokens, block_size):
        self.tokens, self.block_size = tokens, block_size

    def __len__(self):
        return (len(self.tokens) - 1) // self.block_size

    def __getitem__(self, index):
        start = index * self.block_size
        stop = start + self.block_size
        x = self.tokens[start:stop]
        # SOLUTION
        y = self.tokens[start + 1 : stop + 1]
        # EXERCISE
        # y = ...  # Your line
        # END
        return x, y


# %%
check_windows(Windows)

# %% [markdown]
# The DataLoader is the one from Series 2. It shuffles *windows*, never the tokens inside one.
#
# One thing is new. MNIST counted epochs, here we count steps, so the batches must not run out. `endless` begins a new
# epoch when one is over. Don't write `next(iter(train_loader))` in a loop instead: that makes a new iterator for every
# batch. And `itertools.cycle` would keep all batches in memory and never shuffle again.

# %%
BLOCK_SIZE, BATCH_SIZE = 64, 12
order = torch.Generator().manual_seed(1337)
train_loader = DataLoader(
    Windows(train_tokens, BLOCK_SIZE), batch_size=BATCH_SIZE, shuffle=True, drop_last=True, generator=order
)
val_loader = DataLoader(Windows(val_tokens, BLOCK_SIZE), batch_size=BATCH_SIZE, shuffle=False)


def endless(loader):
    """The loader's batches, epoch after epoch."""
    while True:
        yield from loader


x, y = next(endless(train_loader))
print(
    f"x {tuple(x.shape)}, y {tuple(y.shape)}: {x.numel()} predictions in a batch, {len(train_loader)} batches an epoch"
)
print("x:", repr(tokens.tokenizer.decode(x[0, :40].tolist())))
print("y:", repr(tokens.tokenizer.decode(y[0, :40].tolist())))

# %% [markdown]
# ## Phase 3: the training loop
#
# The model is the GPT that you built, only smaller.


# %%
def build_model(vocab_size, block_size=BLOCK_SIZE):
    """An untrained GPT, 4 layers of width 128, with the same weights each time."""
    shape = ModelConfig(vocab_size=vocab_size, block_size=block_size, n_layer=4, n_head=4, n_embd=128)
    return GPT(shape, seed=1337).to(device)


model = build_model(VOCAB_SIZE)
logits = model(x.to(device))
print(f"{model.n_params():,} parameters; logits {tuple(logits.shape)} = (B, T, vocab_size)")

# %% [markdown]
# **Exercise 2: the loss.** Cross-entropy is what you know from MNIST, with more classes. There is one prediction for
# each window *and* each position. `F.cross_entropy` wants one row of logits per prediction.


# %% exercise="compute_loss"
def compute_loss(logits, targets):
    """Mean cross-entropy of all B * T predictions: logits (B, T, vocab_size), targets (B, T)."""
    # SOLUTION
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    # EXERCISE
    # loss = ...  # Your line
    # END
    return loss


# %%
check_loss(compute_loss)

# %% [markdown]
# **Guess: the first loss.** An untrained model knows nothing, so it gives every token about the same probability. What
# is its loss then? Work it out for GPT-2's vocabulary, whose size the next cell prints, and for our characters. (What
# is the cross-entropy of a uniform guess over V classes?)

# %%
print(f"GPT-2's vocabulary: {gpt2.vocab_size:,} tokens; ours: {VOCAB_SIZE} characters")

# %%
# SOLUTION
guess_first_loss_gpt2 = math.log(gpt2.vocab_size)
guess_first_loss_chars = math.log(VOCAB_SIZE)
# EXERCISE
# guess_first_loss_gpt2 = None  # a number, in nats
# guess_first_loss_chars = None
# END

# %%
with torch.no_grad():
    ids = torch.from_numpy(gpt2.encode(corpus.text[:4000])[: 4 * BLOCK_SIZE + 1].astype("int64")).to(device)
    rows = ids[:-1].view(4, BLOCK_SIZE), ids[1:].view(4, BLOCK_SIZE)
    first_loss_gpt2 = compute_loss(build_model(gpt2.vocab_size)(rows[0]), rows[1]).item()
    first_loss_chars = compute_loss(model(x.to(device)), y.to(device)).item()
guesses["first loss, GPT-2's vocabulary"] = compare(guess_first_loss_gpt2, first_loss_gpt2, within=0.2)
guesses["first loss, characters"] = compare(guess_first_loss_chars, first_loss_chars, within=0.2)
print(f"ln {gpt2.vocab_size} = {math.log(gpt2.vocab_size):.3f}, ln {VOCAB_SIZE} = {math.log(VOCAB_SIZE):.3f}")
quote_lesson("initial-loss")

# %% [markdown]
# A first loss near the logarithm of the vocabulary is your sanity check: the model is initialised well and the loss is
# computed right. If it is far away, stop and look before you train.
#
# **Exercise 3: clipping.** One training step, all in one function. The loss is there already. Clip the norm of the
# whole gradient at 1.0, and keep the norm that `nn.utils.clip_grad_norm_` returns: it is the norm *before* clipping,
# and you want to plot it. Where does the line belong?


# %% exercise="train_step"
def train_step(model, optimizer, x, y):
    """One update. Returns the loss, and the gradient's norm before it was clipped."""
    loss = compute_loss(model(x), y)
    optimizer.zero_grad()
    # SOLUTION
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer.step()
    # EXERCISE
    # norm = ...  # Your line: complete it, and move it to where it belongs
    # loss.backward()
    # optimizer.step()
    # END
    return loss, norm


# %%
check_train_step(train_step)

# %% [markdown]
# **Exercise 4: validation.** The train loss says how well the model does on text that it learns from. For the rest you
# hold out text. Measuring all of it takes too long to do often, so take the first `n_batches` batches, the same ones
# each time. Write the head of the loop with `islice`.


# %% exercise="evaluate"
@torch.no_grad()
def evaluate(model, loader, n_batches):
    """Mean loss over the first `n_batches` batches of the loader."""
    model.eval()
    total = 0.0
    # SOLUTION
    for x, y in islice(loader, n_batches):
        total += compute_loss(model(x.to(device)), y.to(device)).item()
    # EXERCISE
    # for x, y in []:  # Your line: what to go over, instead of []
    #     total += compute_loss(model(x.to(device)), y.to(device)).item()
    # END
    model.train()
    return total / n_batches


# %%
check_evaluate(evaluate)

# %% [markdown]
# ## Phase 4: a learning rate that changes
#
# So far your learning rate was one number. Here it is a function of the step. *Warmup*: it rises along a line, since
# the first gradients of random weights are large and point anywhere. *Cosine decay*: it falls along half a cosine, so
# that the steps get smaller towards the end. It ends at a floor, not at zero.
#
# **Exercise 5: cosine decay.** The warmup is given. Steps count from 1 to `last`. Let the rate fall from `peak`, where
# the warmup ends, to `floor` at step `last`.


# %% exercise="learning_rate"
def learning_rate(step, peak, floor, warmup, last):
    """The learning rate of one step: up to `peak` until step `warmup`, then down to `floor` at step `last`."""
    if step <= warmup:
        return peak * step / warmup
    # SOLUTION
    progress = (step - warmup) / (last - warmup)
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * progress))
    # EXERCISE
    # progress = ...  # Your line: 0 at the end of the warmup, 1 at the last step
    # return ...  # Your line
    # END


# %%
check_schedule(learning_rate)

# %%
PEAK, FLOOR, WARMUP = 2e-3, 2e-4, max(1, MAX_STEPS // 20)
rates = [learning_rate(step, PEAK, FLOOR, WARMUP, MAX_STEPS) for step in range(1, MAX_STEPS + 1)]
plot_rates(rates)

# %% [markdown]
# PyTorch has the same curve as parts: `LinearLR`, then `CosineAnnealingLR`, one behind the other in `SequentialLR`.
# A function of the step is easier to read, to plot and to test.
#
# ## Phase 5: train
#
# Now all of it together. The optimizer is AdamW: Adam, but weight decay shrinks the weights directly.
#
# **Guesses.** You train for one or two minutes.
#
# - Where will the val loss end? The untrained model is at the first loss that you have just seen.
# - At what share of the steps is the gradient long enough to be clipped, from 0 (never) to 1 (always)?
# - How does the loss fall? `"smooth"` as in MNIST, or `"jagged"`?

# %%
# SOLUTION
guess_val_loss = 2.0
guess_clipped_share = 0.1
guess_curve = "jagged"
# EXERCISE
# guess_val_loss = None  # a number
# guess_clipped_share = None  # a number from 0 to 1
# guess_curve = None  # "smooth" or "jagged"
# END

# %%
EVAL_BATCHES = 20
EVAL_STEPS = sorted({0, *(MAX_STEPS * tenth // 10 for tenth in (1, 2, 4, 6, 8, 10))})
CHECKPOINT = "lesson-checkpoint.pt"
PROMPT = torch.tensor(tokens.tokenizer.encode("\n").astype("int64"), device=device)

history = {"step": [], "train_loss": [], "lr": [], "grad_norm": []}
evals, samples = {}, []


def look(step):
    """The val loss, and a text that the model writes."""
    evals[step] = evaluate(model, val_loader, EVAL_BATCHES)
    written = generate(model, PROMPT, 200, seed=1337)
    samples.append((step, evals[step], tokens.tokenizer.decode(written.tolist()).strip()))


def save(step):
    """Everything that is needed to go on from this step."""
    torch.save({"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, CHECKPOINT)


model = build_model(VOCAB_SIZE)
optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, 0.99), weight_decay=0.1)
batches = endless(train_loader)
model.train()
look(0)
for step in track(range(1, MAX_STEPS + 1)):
    x, y = next(batches)
    rate = learning_rate(step, PEAK, FLOOR, WARMUP, MAX_STEPS)
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss, norm = train_step(model, optimizer, x.to(device), y.to(device))
    for name, value in {"step": step, "train_loss": loss.item(), "lr": rate, "grad_norm": norm.item()}.items():
        history[name].append(value)
    if step in EVAL_STEPS:
        look(step)
        save(step)
print(f"train loss {history['train_loss'][0]:.3f} -> {history['train_loss'][-1]:.3f}, val loss {evals[MAX_STEPS]:.3f}")

# %% [markdown]
# ### What the model wrote on its way
#
# The same start each time, and the same random draws. Watch what comes first: spaces and line ends, then letters in
# likely pairs, then words.

# %%
Samples(samples)

# %% [markdown]
# ### The loss curve
#
# Is the last loss good? A number alone doesn't say. The dashed lines are what simple counting reaches on the val text:
# how often each character is, and how often it follows the one before it.

# %%
baselines = count_baselines(tokens.train, tokens.val, VOCAB_SIZE)
plot_losses(history, evals, {"counting characters": baselines.unigram, "counting pairs": baselines.bigram})

# %%
guesses["val loss at the end"] = compare(guess_val_loss, evals[MAX_STEPS], within=0.2)
print(f"counting characters {baselines.unigram:.3f}, counting pairs {baselines.bigram:.3f}")

# %% [markdown]
# How jagged is the curve? Compare how far the loss jumps from one step to the next with how far its trend moves per
# step.

# %%
losses = torch.tensor(history["train_loss"])[MAX_STEPS // 10 :]  # the first tenth falls steeply
jump = losses.diff().abs().mean().item()
quarter = len(losses) // 4
trend = abs(losses[:quarter].mean() - losses[-quarter:].mean()).item() / (len(losses) - quarter)
print(f"from step to step the loss jumps by {jump:.4f}, its trend moves by {trend:.6f}: {jump / trend:,.0f} times less")
guesses["the loss curve"] = compare(guess_curve, "jagged" if jump > 3 * trend else "smooth")

# %% [markdown]
# The jumps are not a sign of something wrong: every batch is other text, and some text is harder. So look at the smooth
# line for the trend, and at the raw one for accidents.
#
# ### The gradient

# %%
plot_norms(history, threshold=1.0)

# %%
clipped_share = sum(norm > 1.0 for norm in history["grad_norm"]) / MAX_STEPS
largest = max(history["grad_norm"])
print(f"largest norm {largest:.2f}, at step {1 + history['grad_norm'].index(largest)}")
quote_lesson("typical-norm-under-1")
guesses["share of clipped steps"] = compare(guess_clipped_share, clipped_share, within=0.05)

# %% [markdown]
# ### The checkpoint
#
# A checkpoint has all that training needs to go on: weights, the optimizer's moments, and the step. Load it into a
# *fresh* model. If the val loss is the same, nothing was lost.

# %%
saved = torch.load(CHECKPOINT, map_location=device, weights_only=True)
fresh = build_model(VOCAB_SIZE)
before = evaluate(fresh, val_loader, EVAL_BATCHES)
fresh.load_state_dict(saved["model"])
after = evaluate(fresh, val_loader, EVAL_BATCHES)
print(
    f"fresh {before:.3f}, with the weights of step {saved['step']} {after:.3f}, as trained {evals[saved['step']]:.3f}"
)

# %% [markdown]
# **Interpret.** Answer in your own words before you read on.
#
# 1. Between which two samples does the text change most, and between which two does the val loss fall most? Does half
#    the fall in loss make half the difference in the text?
# 2. Is the train loss below the val loss at the end? What would you expect after many more epochs over the same text?
# 3. What would you do first if the loss jumped up and stayed there?

# %%
last_losses = history["train_loss"][-50:]
epochs = MAX_STEPS * BATCH_SIZE * BLOCK_SIZE / len(train_tokens)
print(f"train loss over the last {len(last_losses)} steps {sum(last_losses) / len(last_losses):.3f}")
print(f"val loss {evals[MAX_STEPS]:.3f}, after {epochs:.2f} epochs")
for (step, loss, _), (next_step, next_loss, _) in pairwise(samples):
    print(f"val loss from step {step} to {next_step}: {next_loss - loss:+.3f}")

# %% [markdown] edition="solved"
# **Answers.**
#
# 1. The first fall is the largest by far and changes gibberish into letters that look like text. Words come with later,
#    smaller falls. So the loss does not tell the quality in even steps: read samples, too.
# 2. The two are close as long as the model has hardly seen a text twice. After many epochs it begins to memorise: the
#    train loss goes on falling, the val loss turns and rises. Those are the scissors of Series 1.
# 3. Look at the gradient norms before the jump, and at the batch. Then go back to a checkpoint from before it, with a
#    lower rate, a longer warmup or clipping.

# %% [markdown]
# ## Phase 6: experiments
#
# One run is an anecdote. `gptexp.run_study` trains the arms of a named study side by side: the same first weights, the
# same batches, one thing different. Every run leaves a record, so what is done is never trained again.
#
# ### Which learning rate?
#
# This is the lesson's own experiment, with GPT-2's vocabulary, on a small model and for few steps. The lesson says:

# %%
quote_lesson("constant-6e-4-explodes", "constant-1e-5-crawls", "schedule-beats-constant")

# %% [markdown]
# That is what the lesson says, not what you have seen. Take it as a claim.
#
# **Guesses.** The arms are called `constant-6e-4`, `constant-3e-4`, `constant-1e-5` and `warmup-cosine`. Does constant
# 6e-4 explode here, so that its loss stops being a finite number? Which arm ends with the lowest val loss?

# %%
# SOLUTION
guess_explodes = False
guess_best_arm = "warmup-cosine"
# EXERCISE
# guess_explodes = None  # True or False
# guess_best_arm = None  # the name of an arm
# END

# %%
RUNS = "lesson-runs"
arms = gptexp.run_study(
    "lr-ablation", scale="quick", overrides={"max_steps": STUDY_STEPS, "eval_interval": 20}, runs_dir=RUNS
)
arms[["label", "outcome", "final_train_loss", "final_val_loss"]].round(3)

# %%
show_study(arms, "loss-curves", RUNS)

# %%
show_study(arms, "lr-schedules", RUNS)

# %%
explodes = (arms.loc[arms["arm"] == "constant-6e-4", "outcome"] == "diverged").any()
best_arm = arms.loc[arms["final_val_loss"].astype(float).idxmin(), "arm"]
guesses["constant 6e-4 explodes"] = compare(guess_explodes, bool(explodes))
guesses["lowest val loss"] = compare(guess_best_arm, best_arm)

# %% [markdown]
# Compare the claims with your curves, one by one. Then ask what your runs *can't* say: the model is small, the training
# short, and there is one seed per arm. A schedule that is made for a long training may well lose a short one: while it
# warms up and cools down, the constant rate already runs at its peak. In a terminal you can ask the next questions:
#
# - `gptexp run lr-ablation --scale quick --seeds 3`: is it the same with other first weights?
# - `gptexp run horizon --scale char`: from how many steps on does the schedule win?
# - `gptexp run lr-ladder --scale char`: how high can the peak be, with warmup and without?
# - `gptexp claims constant-6e-4-explodes`: what would refute the claim, and which runs speak for or against it?
#
# ### Without clipping
#
# The study `clipping` trains with clipping and without it, each on natural text and with one bad batch on purpose:
# after more than half of the steps, the rarest character stands at every position. The lesson says:

# %%
quote_lesson("spikes-undo-steps", "clipping-saves-a-run")

# %% [markdown]
# **Guesses.** Take the two arms with the bad batch. Does the one without clipping end with a higher val loss than the
# one with it? And without a bad batch: does clipping change the final val loss by more than 0.05?

# %%
# SOLUTION
guess_clipping_saves = True
guess_clipping_matters = False
# EXERCISE
# guess_clipping_saves = None  # True or False
# guess_clipping_matters = None  # True or False
# END

# %%
clipping = gptexp.run_study(
    "clipping", scale="char", overrides={"max_steps": 5 * STUDY_STEPS, "eval_interval": STUDY_STEPS}, runs_dir=RUNS
)
clipping[["label", "outcome", "final_train_loss", "final_val_loss"]].round(3)

# %%
show_study(clipping, "clip-spike", RUNS)

# %%
show_study(clipping, "loss-curves", RUNS)

# %%
ends = clipping.set_index("arm")["final_val_loss"].astype(float)
cost = ends["no-clip-outlier"] - ends["clip-outlier"]
change = abs(ends["no-clip"] - ends["clip"])
print(f"bad batch: without clipping {cost:+.4f}; natural text: a difference of {change:.4f}, asked for was 0.05")
guesses["a bad batch costs more without clipping"] = compare(guess_clipping_saves, bool(cost > 0))
guesses["clipping matters on natural text"] = compare(guess_clipping_matters, bool(change > 0.05))

# %% [markdown]
# The smooth line is a mean over neighbouring steps, so the one bad step looks like a low plateau in it.
#
# Look at the size of the difference, too, not only at its sign. With one seed a small difference can be chance: ask for
# more seeds before you believe it. AdamW divides each gradient by its own recent size, so one long gradient moves the
# weights less than with plain SGD. Clipping is still a good habit: it is one line, it costs next to nothing, and it is
# insurance against the batch that you did not expect.
#
# ### All that was recorded
#
# Every run is in the folder `lesson-runs`. `gptexp.load_runs` reads them as a data frame, `gptexp.load_records` reads
# every step, and `gptexp report --runs-dir lesson-runs` makes a page of them.

# %%
runs = gptexp.load_runs(RUNS)
runs.groupby(["study", "scale"]).agg(
    runs=("run_id", "nunique"), steps=("max_steps", "max"), lowest=("final_val_loss", "min")
)

# %% [markdown]
# ## Your guesses

# %%
GuessTable(guesses)

# %% [markdown]
# **What to keep.** The training loop is the same loop. Text is its own label, shifted by one token. Cross-entropy
# doesn't care how many classes there are. A schedule and clipping are two more lines; whether they pay is a question to
# a run, not to a page.

# %%
print(f"This notebook took {(time.perf_counter() - started) / 60:.1f} minutes.")
