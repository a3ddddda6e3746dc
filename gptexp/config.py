"""The configuration of one run: what is trained, on what, how, and how it is watched.

`RunConfig` is flat: one namespace of field names for the command line (`lr=6e-4`), study files, sweeps and W&B.
It is assembled from five small models so that each part of the engine asks only for what it uses.
"""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gptexp.errors import GptexpError, did_you_mean, shorten
from gptexp.names import OPTIMIZERS, SCHEDULES, list_needs
from gptexp.registry import Registry
from gptexp.text import clean_text
from gptexp.version import LATER_FIELDS

InitName = Literal["gpt2", "pytorch-default"]
Precision = Literal["auto", "fp32", "bf16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
LARGEST = 10**9
"""Of every whole number but the seed: no run needs more, and products of a few of them still count in 64 bits."""
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Threads = Annotated[int, Field(ge=1, le=1024)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]


LINE_FEED = "\n"
WINDOWS_PER_EVAL_STEP = 16
"""What an evaluation step is. Up to engine version 2 it was a training batch, so that arms with other batches were
measured on other windows; the `val_tokens` of a record say how much text it is about."""

NONE_MEANS = {
    "vocab_size": "the tokenizer's own",
    "outlier_at": "no outlier batch",
    "grad_clip": "no clipping",
    "warmup_steps": "5% of max_steps",
    "min_lr": "a tenth of lr",
    "decay_steps": "a fifth of max_steps",
    "sample_interval": "a sample only at the end",
    "init_from": "weights drawn from the seed, as init says",
}
"""What None stands for, of the fields that take it."""


RECORDED = {"recorded": True}
"""The context in which a config of a run that was recorded is validated."""


def _name_in(registry: Registry[Any]) -> AfterValidator:
    """A name that `registry` has. That of a recorded run may be of a package that isn't installed here."""

    def check(name: str, info: ValidationInfo) -> str:
        if info.context != RECORDED:
            try:
                registry.check(name)
            except GptexpError as error:
                raise ValueError(str(error)) from None
        return name

    return AfterValidator(check)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelConfig(_Part):
    """The network. The defaults are GPT-2 124M at the lesson's context of 256 tokens."""

    vocab_size: Positive | None = None
    """Rows of the token embedding; None takes the tokenizer's own (50,257 for gpt2)."""
    block_size: Positive = 256
    """Tokens of context, and the length of a training window."""
    n_layer: int = Field(12, ge=1, le=10_000)
    n_head: Positive = 12
    n_embd: Positive = 768
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    bias: bool = True
    """Biases in linear layers and layer norms, as GPT-2 has them."""
    norm: Literal["pre", "post"] = "pre"
    """Where layer norms stand. pre: GPT-2's, the lesson's model. post: the original transformer's, after each half."""
    init: InitName = "gpt2"
    """gpt2: N(0, 0.02), residual projections scaled by 1/sqrt(2 n_layer). pytorch-default: what torch.nn draws."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd={self.n_embd} is not a multiple of n_head={self.n_head}")
        return self


class DataConfig(_Part):
    corpus: str = "tinyshakespeare"
    """A corpus name (tinyshakespeare, python-docs) or the path of a text file or of a folder of text files."""
    init_from: str | None = None
    """A folder with a GPT-2 whose weights the run starts from: what transformers' save_pretrained or `gptexp export`
    wrote. Its shape and tokenizer go before the scale's; a smaller block_size may be named, and dropout is the config's
    own. The seed decides the batches alone. What is recorded is the checksum of the weights."""
    tokenizer: Literal["gpt2", "char"] = "gpt2"
    batch_size: Positive = 16
    """Windows per micro-batch."""
    grad_accum_steps: Positive = 1
    """Micro-batches per optimizer step."""
    sampler: Literal["random", "epochs"] = "random"
    """random: windows start anywhere, drawn with replacement. epochs: chunks side by side, each once an epoch, shuffled
    anew each epoch, as the lesson's DataLoader gives them."""
    outlier_at: float | None = Field(None, gt=0, le=1)
    """At this fraction of max_steps, one rare token repeated is the batch: a labelled batch that makes a spike."""

    @field_validator("corpus")
    @classmethod
    def _name_is_clean(cls, name: str) -> str:
        # The config only says what it was called; the path itself is what the corpus is loaded by.
        return clean_text(name)


class OptimizerConfig(_Part):
    optimizer: Annotated[str, _name_in(OPTIMIZERS)] = "adamw"
    """A name in `gptexp.names.OPTIMIZERS`, or one of another package. What a rule makes of the fields below stands
    with it: SGD's momentum is beta1, and in Adam weight decay is in the gradient."""
    lr: float = Field(6e-4, gt=0)
    """Peak learning rate."""
    weight_decay: float = Field(0.1, ge=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    eps: float = Field(1e-8, gt=0)
    grad_clip: float | None = Field(1.0, gt=0)
    """Largest global gradient norm; None switches clipping off."""


class ScheduleConfig(_Part):
    schedule: Annotated[str, _name_in(SCHEDULES)] = "warmup-cosine"
    """A name in `gptexp.names.SCHEDULES`, or one of another package."""
    max_steps: Count = 10_000
    warmup_steps: Count | None = None
    """Steps of linear rise to the peak; None takes 5% of max_steps, at least 1."""
    min_lr: float | None = Field(None, ge=0)
    """Learning rate at the last step of a decaying schedule; None takes a tenth of lr."""
    decay_steps: Positive | None = None
    """wsd, wsd-sqrt: steps of the final decay; None takes a fifth of max_steps."""

    @property
    def resolved_warmup_steps(self) -> int:
        return max(1, self.max_steps // 20) if self.warmup_steps is None else self.warmup_steps

    @property
    def resolved_decay_steps(self) -> int:
        return max(1, self.max_steps // 5) if self.decay_steps is None else self.decay_steps


class LoopConfig(_Part):
    eval_interval: Positive = 500
    """Steps between evaluations on the fixed subset of val windows."""
    eval_steps: Positive = 20
    """Batches of 16 val windows in that subset, whatever batch_size is: arms that differ in the batch that they train
    on are still measured on the same windows."""
    final_eval: Literal["whole", "subset"] = "whole"
    """The last evaluation: exactly over the whole val split, or over the subset."""
    sample_interval: Positive | None = None
    """Steps between text samples; None samples only at the end of the training, and where sample_losses asks for it."""
    sample_losses: tuple[float, ...] = ()
    """Keep a sample when the mean of the last 10 train losses first falls under each of these (nats per token)."""
    sample_prompt: str = LINE_FEED
    """What the model continues. In place of a line feed, a corpus that has none begins with a space or its own first
    character."""
    sample_tokens: Positive = 100
    """Tokens per sample."""
    checkpoint_interval: Positive = 100
    """Steps between checkpoints. Decides no number, so it is not part of the run id."""
    step_metrics: tuple[str, ...] = ()
    """What to measure besides at every `metrics_interval`-th step, such as update_ratio (`gptexp.training.metrics`).
    It changes no other number; a run that measures more is a run of its own."""
    metrics_interval: Positive = 10
    """Steps between measurements of `step_metrics`. All four together take about a quarter of a step of scale char, so
    that they cost 1% of the time at 25."""
    seed: int = Field(1337, ge=0, lt=2**64)
    """Seed k gives every arm the same initial weights and the same batches. In a study it is the first of an arm's
    seeds: arms with seeds of their own share them with nobody, and are not paired."""
    precision: Precision = "auto"
    device: Device = "auto"
    threads: Threads | Literal["auto"] = "auto"
    """CPU threads of this run; auto: as many of the usable cores as a step of this size gains from. They decide the
    order of float sums, so what was resolved is part of the run id."""
    world_size: Positive = 1
    """Processes, or GPUs, that share every batch of this run (DDP): each computes batch_size / world_size windows of a
    micro-batch, with `threads` threads of its own. It decides the order of float sums too."""
    compile: bool = False
    """Train through torch.compile. `gptexp bench --compile` says after how many steps that pays on this machine. It too
    decides the order of float sums."""

    @field_validator("step_metrics", mode="before")
    @classmethod
    def _names_are_a_list(cls, names: Any) -> Any:
        # As one types them: step_metrics=grad_norm,update_ratio
        if isinstance(names, str):
            names = [name.strip() for name in names.strip("[]()").split(",")]
        return tuple(names) if isinstance(names, list) else names

    @field_validator("sample_prompt")
    @classmethod
    def _prompt_is_unicode(cls, prompt: str) -> str:
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"character {error.start} is half of a surrogate pair and no text; leave it out") from None
        return prompt


class RunConfig(ModelConfig, DataConfig, OptimizerConfig, ScheduleConfig, LoopConfig):
    """Everything that decides one run. Frozen; `override` makes a changed copy."""

    @model_validator(mode="after")
    def _windows_divide(self) -> Self:
        if self.batch_size % self.world_size:
            raise ValueError(
                f"batch_size={self.batch_size} can't be shared evenly by world_size={self.world_size}; choose a "
                f"divisor of batch_size"
            )
        return self

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        steps, warmup, decay = self.max_steps, self.resolved_warmup_steps, self.resolved_decay_steps
        needs = list_needs(self.schedule)
        if not needs or steps == 0:
            return self
        if "min_lr" in needs and self.resolved_min_lr > self.lr:
            raise ValueError(f"min_lr={self.min_lr:g} is above the peak lr={self.lr:g}; set min_lr at or below lr")
        # A single step has no phases.
        if "warmup_steps" in needs and warmup >= steps > 1:
            rest = "at the peak rate" if needs == ("warmup_steps",) else "for the decay"
            raise ValueError(f"warmup_steps={warmup} leaves no step {rest}; set it below max_steps={steps}")
        if "decay_steps" in needs and warmup + decay > steps > 1:
            raise ValueError(f"warmup_steps={warmup} and decay_steps={decay} together exceed max_steps={steps}")
        return self

    @property
    def resolved_min_lr(self) -> float:
        # Twelve digits, so that a tenth of 3e-3 is the 3e-4 that a person would type, and the same run.
        return float(f"{self.lr / 10:.12g}") if self.min_lr is None else self.min_lr

    @property
    def outlier_step(self) -> int | None:
        """The step of the outlier batch, or None."""
        return None if self.outlier_at is None else max(1, round(self.outlier_at * self.max_steps))

    @property
    def n_threads(self) -> int:
        """Of a resolved config; one where `auto` wasn't resolved."""
        return 1 if self.threads == "auto" else self.threads

    @property
    def eval_windows(self) -> int:
        """Val windows of the fixed subset; a val split that has fewer is taken whole."""
        return self.eval_steps * WINDOWS_PER_EVAL_STEP

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.grad_accum_steps * self.block_size

    def override(self, changes: Mapping[str, Any]) -> RunConfig:
        """A copy with `changes` applied and validated.

        Raises:
            GptexpError: an unknown key (near names are listed) or a value that doesn't fit.
        """
        return build_config({**self.model_dump(), **changes})


def build_config(values: Mapping[str, Any], *, recorded: bool = False) -> RunConfig:
    """Validate `values` (flat field names) into a RunConfig.

    Args:
        recorded: they are those of a run that was, maybe with an optimizer that isn't installed here.

    Raises:
        GptexpError: one sentence with the key, the value and what was expected.
    """
    for key, value in values.items():
        if key not in RunConfig.model_fields:
            raise GptexpError(f"{shorten(key)} is not a config field{did_you_mean(str(key), RunConfig.model_fields)}")
        # Python counts with True and False, but a switch in the place of a number is a slip.
        if isinstance(value, bool) and RunConfig.model_fields[key].annotation is not bool:
            raise GptexpError(f"{key}={value!r}: expected a {'text' if holds_text(key) else 'number'}, not a switch")
    try:
        return RunConfig.model_validate(dict(values), context=RECORDED if recorded else None)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][:1])
        message = first["msg"].removeprefix("Value error, ")
        if not where:
            raise GptexpError(message) from None
        hint = f"; None stands for {NONE_MEANS[where]}" if where in NONE_MEANS else ""
        raise GptexpError(f"{where}={shorten(values.get(where))}: {message[0].lower()}{message[1:]}{hint}") from None


def holds_text(field: str) -> bool:
    """Whether a field's values are texts, so that 2024 is one too."""
    return RunConfig.model_fields[field].annotation in (str, str | None)


CAME_LATER = {"norm", *LATER_FIELDS}
"""Fields that the first runs lack."""


def revive_config(fields: Mapping[str, Any]) -> RunConfig:
    """The config of a run that was recorded; what fields of another gptexp say besides is left out.

    Raises:
        GptexpError: it is none that can be.
    """
    settings = {name: fields[name] for name in RunConfig.model_fields if fields.get(name) is not None}
    # None is a value of this field: no clipping. Left out it would be clipping at 1.
    unclipped = {"grad_clip": None} if fields.get("grad_clip", 1.0) is None else {}
    return build_config(settings | unclipped, recorded=True)


def why_unfit(fields: Mapping[str, Any]) -> str | None:
    """Why a recorded config can't be that of a run, as a clause; None where it can.

    A text that spells a number is none: whoever calculates with it takes it as it is.
    """
    if missing := [name for name in RunConfig.model_fields if name not in fields and name not in CAME_LATER]:
        return f"it has no {missing[0]}"
    known = {name: value for name, value in fields.items() if name in RunConfig.model_fields}
    try:
        RunConfig.model_validate_json(json.dumps(known), strict=True, context=RECORDED)
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"].endswith("_type") or problem["type"] in ("finite_number", "int_parsing_size"):
                return f"its {problem['loc'][0]} is {type(problem['input']).__name__}, {problem['msg'][6:]}"
    try:
        revive_config(known)
    except GptexpError as error:
        return str(error)
    return None


def parse_assignment(text: str) -> tuple[str, Any]:
    """`"lr=6e-4"`, `"--n-layer=4"`, `"grad_clip=None"` or `"sample_losses=[4, 3]"` as a (field, value) pair.

    The value is read by the field's own type: a field that holds text takes the text as it is, all others take
    JSON or Python spellings of numbers, booleans, None and lists.

    Raises:
        GptexpError: no `=`, or an unknown key.
    """
    key, separator, raw = text.removeprefix("--").partition("=")
    key = key.strip().replace("-", "_")
    if not separator:
        raise GptexpError(f"{shorten(text)} is not an assignment; write it as key=value, for example lr=6e-4")
    if key not in RunConfig.model_fields:
        raise GptexpError(f"{shorten(key)} is not a config field{did_you_mean(key, RunConfig.model_fields)}")
    return key, read_value(key, raw)


def read_value(field: str, raw: str) -> Any:
    """What a spelling stands for as a value of `field`: texts are taken as they are, all others by `parse_value`."""
    if not holds_text(field):
        return parse_value(raw)
    takes_none = RunConfig.model_fields[field].annotation is not str
    return None if takes_none and raw.strip().lower() in ("none", "null") else raw


def parse_value(raw: str) -> Any:
    """A JSON or Python literal as its value, anything else as the text itself."""
    text = raw.strip()
    words: dict[str, Any] = {"none": None, "null": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if text[:1] in ("(", "["):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            found = ast.literal_eval(text)
            return list(found) if isinstance(found, list | tuple) else [found]
    return text
