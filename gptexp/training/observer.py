"""Everything that happens around the steps: records, evaluations, samples, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

import torch

from gptexp.config import RunConfig
from gptexp.data.batches import Tokens, val_windows
from gptexp.records import EvalRecord, EventRecord, Record, SampleRecord, StepRecord
from gptexp.training.evaluate import evaluate
from gptexp.training.loop import Training
from gptexp.training.metrics import StepMeter
from gptexp.training.progress import Progress
from gptexp.training.sample import derive_seed, generate


class Interrupted(Exception):
    """The run was asked to stop; a checkpoint of its last step is on the disk."""


class Stopped(Exception):
    """The run got to the step that was asked for, before its last one; a checkpoint of it is on the disk."""


class Keeper(Protocol):
    """What the observer needs of the outside: a log, checkpoints, and a word when to stop."""

    def log(self, record: Record) -> None: ...

    def save(self, step: int) -> None: ...

    def should_stop(self) -> bool: ...


class RunObserver:
    """Watches one training. What it does next follows from the config and the records so far, so it resumes exactly."""

    def __init__(
        self, training: Training, tokens: Tokens, progress: Progress, keeper: Keeper, until_step: int | None = None
    ) -> None:
        """Args:
        until_step: where to stop. What is recorded up to there is what the whole run records; None goes to the end.
        """
        self.until_step = until_step
        self.training = training
        self.tokens = tokens
        self.progress = progress
        self._keeper = keeper
        self._step_started = 0.0
        self._meter = StepMeter(training)
        self._saved_step = progress.step

    @property
    def config(self) -> RunConfig:
        return self.training.config

    def steps(self) -> Iterator[int]:
        """The steps still to do, after what belongs to the untrained model.

        Raises:
            Interrupted: the keeper said stop. Stopped: `until_step` is reached.
        """
        if self._is_there(self.progress.step):
            self._stop(self.progress.step)
        if self.progress.step == 0:
            self.evaluate_subset(0)
            if self.config.sample_interval or self.config.sample_losses:
                self.sample(0, "initial")
        for step in range(self.progress.step + 1, self.config.max_steps + 1):
            self._step_started = time.perf_counter()
            yield step

    def before_update(self, step: int) -> None:
        """Begin to measure what the config asks for, where that is due."""
        self._meter.begin(step)

    def after_step(self, step: int, lr: float, loss: float, grad_norm: float) -> None:
        """Record the step, then evaluate, sample and save where they are due; a checkpoint comes last.

        Raises:
            Interrupted: the keeper said stop. Stopped: `until_step` is reached.
        """
        config, is_last = self.config, step == self.config.max_steps
        self._record_step(step, lr, loss, grad_norm)
        if is_last or step % config.eval_interval == 0:
            self.evaluate_subset(step)
        if config.sample_interval and step % config.sample_interval == 0 and not is_last:
            self.sample(step, "interval")
        self._sample_below_thresholds(step)
        if is_last or step % config.checkpoint_interval == 0 or self._is_worth_keeping(step):
            self._save(step)
        if self._is_there(step):
            self._save(step)
            self._stop(step)
        # After the last step only the end is missing, which takes seconds: a run that has done all its work gets it.
        if self._keeper.should_stop() and not is_last:
            self._save(step)
            raise Interrupted(f"stopped after step {step}")

    def diverged(self, step: int, lr: float, loss: float, grad_norm: float, where: str) -> None:
        """Record the step that broke, and where."""
        self._record_step(step, lr, loss, grad_norm)
        self._log(EventRecord(step, "diverged", where))

    def finish(self) -> None:
        """The last evaluation and sample, once all steps are done."""
        if self.config.final_eval == "whole":
            self._evaluate(self.config.max_steps, whole=True)
        if self.config.max_steps > 0:
            self.sample(self.config.max_steps, "final")

    def evaluate_subset(self, step: int) -> None:
        """Val loss on the fixed subset of windows."""
        self._evaluate(step, whole=False)

    def sample(self, step: int, trigger: str, threshold: float | None = None) -> None:
        """Let the model continue the prompt, and record what it wrote."""
        config, tokenizer = self.config, self.tokens.tokenizer
        prompt = torch.from_numpy(tokenizer.encode(config.sample_prompt).astype("int64"))
        ids = generate(
            self.training.model,
            prompt.to(self.training.hardware.device),
            config.sample_tokens,
            seed=derive_seed(config.seed, step),
        )
        text = tokenizer.decode(ids.tolist())
        loss = self.progress.train_loss
        self._log(SampleRecord(step, trigger, threshold, loss, config.sample_prompt, text))

    def _is_there(self, step: int) -> bool:
        """Whether to stop here. After its last step a run only lacks its end, and gets that."""
        return self.until_step is not None and self.until_step <= step < self.config.max_steps

    def _stop(self, step: int) -> None:
        raise Stopped(f"at step {step:,} of {self.config.max_steps:,}")

    def _is_worth_keeping(self, step: int) -> bool:
        """Whether these weights have the best val loss so far, or have just passed a loss threshold."""
        best = self.progress.best_eval
        return (best is not None and best.step == step) or step in self.progress.milestone_steps

    def _sample_below_thresholds(self, step: int) -> None:
        loss = self.progress.train_loss
        passed = [
            t for t in self.config.sample_losses if loss is not None and loss < t < self.progress.lowest_threshold
        ]
        if passed:
            self.sample(step, "loss", min(passed))

    def _evaluate(self, step: int, *, whole: bool) -> None:
        config = self.config
        limit = None if whole else config.eval_windows
        windows = val_windows(self.tokens.val, block_size=config.block_size, limit=limit)
        found = evaluate(self.training.model, windows, self.tokens.tokenizer.token_bytes, self.training.hardware)
        self._log(EvalRecord(step, found.loss, found.bits_per_byte, found.tokens, whole))

    def _record_step(self, step: int, lr: float, loss: float, grad_norm: float) -> None:
        metrics = self._meter.finish()
        seconds = time.perf_counter() - self._step_started
        config = self.config
        if step == config.outlier_step:
            self._log(EventRecord(step, "outlier-batch", "one rare token at every position"))
        clipped = config.grad_clip is not None and grad_norm > config.grad_clip
        tokens_seen = step * config.tokens_per_step
        speed = config.tokens_per_step / seconds
        self._log(StepRecord(step, loss, lr, grad_norm, clipped, tokens_seen, seconds, speed, metrics))

    def _log(self, record: Record) -> None:
        self.progress.add(record)
        self._keeper.log(record)

    def _save(self, step: int) -> None:
        if self._saved_step != step:
            self._keeper.save(step)
            self._saved_step = step


StopSignal = Callable[[], bool]
"""Whether the run has been asked to stop."""
