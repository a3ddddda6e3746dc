"""Several processes that train one run together (DDP). The training loop knows nothing of it.

The leader (rank 0) does all that a run does: records, evaluations, samples, checkpoints. The others follow: they
compute the gradients of their share of every batch and take the same steps. Each wraps what its `Training` gives the
loop: the batches become a share of them, and the loss becomes one whose gradients are averaged over all processes.

Source: Li et al. 2020, "PyTorch Distributed", arXiv 2006.15704, for what `DistributedDataParallel` does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gptexp.model.gpt import GPT
from gptexp.training.checkpoint import fill_optimizer, optimizer_tensors
from gptexp.training.compiling import compile_training
from gptexp.training.divergence import Diverged
from gptexp.training.loop import Observer, Training, train
from gptexp.training.sample import derive_seed

PATIENCE = timedelta(hours=2)
"""How long the processes wait for each other: the leader evaluates and saves alone meanwhile."""
NO_MORE_STEPS, COMPILE = 0, -1
"""What the leader says in the place of a step."""


@dataclass(frozen=True)
class Group:
    """The processes of one run."""

    rank: int
    size: int
    control: Any
    """A gloo process group for what isn't a gradient."""

    def tell(self, value: Any = None) -> Any:
        """What the leader says, in every process; the followers' argument is not used."""
        told = [value]
        dist.broadcast_object_list(told, src=0, group=self.control)
        return told[0]


@contextlib.contextmanager
def join_group(store: Any, rank: int, size: int, device: str) -> Iterator[Group]:
    """Be one of the processes of a run.

    Args:
        store: a `torch.distributed` store that all of them see.
        device: cuda takes the GPU of the process's number and NCCL, cpu takes gloo.
    """
    timeout = PATIENCE
    if device == "cuda":
        torch.cuda.set_device(rank % torch.cuda.device_count())
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
    try:
        yield Group(rank, size, dist.new_group(backend="gloo", timeout=timeout))
    finally:
        dist.destroy_process_group()


class _LossModule(nn.Module):
    """The model with its loss as `forward`, which is what DDP wraps."""

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return GPT.loss(self.model, x, y)


class SharedTraining:
    """Makes a `Training` one process's part of a training, until it is closed; without a group it changes nothing."""

    def __init__(self, training: Training, group: Group | None) -> None:
        """Weights and what the optimizer remembers become the leader's.

        Args:
            group: None where one process trains alone.
        """
        self._training, self._group = training, group
        if group is None:
            return
        model, optimizer, self._own_batches = training.model, training.optimizer, training.batches
        moments = group.tell({name: value.cpu() for name, value in optimizer_tensors(model, optimizer).items()})
        if group.rank:
            fill_optimizer(model, optimizer, moments)
        # Its first act is to hand the leader's weights to all.
        self._whole = DistributedDataParallel(_LossModule(model))
        self._sum = torch.zeros((), device=training.hardware.device)
        training.batches = partial(self._share_batches, group)
        model.loss = partial(self._share_loss, group)  # type: ignore[method-assign]

    def compile(self) -> float:
        """`compile_training`, in all processes at once. Called by the leader; returns the seconds that it took."""
        if self._group is not None:
            self._group.tell(COMPILE)
        return compile_training(self._training)

    def lead(self, observer: Observer) -> Observer:
        """The leader's observer: every step that it begins is told to the followers."""
        return observer if self._group is None else cast(Observer, _Leader(observer, self._group))

    def close(self) -> None:
        """Leave the training as it was. The leader tells the followers that there are no more steps."""
        self._training.model.forget_compiled()
        if self._group is None:
            return
        self._training.batches = self._own_batches
        del self._training.model.loss
        if self._group.rank == 0:
            # One that died can't be told.
            with contextlib.suppress(RuntimeError):
                self._group.tell(NO_MORE_STEPS)

    def _share_batches(self, group: Group, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's windows of each micro-batch of `step`: all processes together have those that one would."""
        config = self._training.config
        per_process = config.batch_size // group.size
        mine = slice(group.rank * per_process, (group.rank + 1) * per_process)
        self._sum.zero_()
        for number, (x, y) in enumerate(self._own_batches(step), start=1):
            if config.dropout and number == 1:
                # Every process draws masks of its own; those of a resumed run are the same again.
                torch.manual_seed(derive_seed(config.seed, step) + group.rank)
            # Gradients of earlier micro-batches stay here: one exchange a step is enough.
            self._whole.require_backward_grad_sync = number == config.grad_accum_steps
            yield x[mine], y[mine]

    def _share_loss(self, group: Group, x: Tensor, y: Tensor) -> Tensor:
        """The loss of these windows; its gradients are averaged over the processes at a step's last micro-batch.

        The value of that one makes the sum over the micro-batches the mean over all processes: the loss that is
        recorded is that of the whole batch, for the exchange of one number a step.
        """
        if not torch.is_grad_enabled():
            return GPT.loss(self._training.model, x, y)
        own: Tensor = self._whole(x, y)
        self._sum += own.detach()
        if not self._whole.require_backward_grad_sync:
            return own
        mean = self._sum / group.size
        dist.all_reduce(mean)
        return own + (mean - self._sum)


class _Leader:
    """An observer whose steps are told to the followers."""

    def __init__(self, observer: Observer, group: Group) -> None:
        self._observer, self._group = observer, group

    def steps(self) -> Iterator[int]:
        for step in self._observer.steps():
            self._group.tell(step)
            yield step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._observer, name)


class _Follower:
    """An observer that records nothing and does the steps that the leader begins."""

    def __init__(self, training: Training, group: Group) -> None:
        self._training, self._group = training, group

    def steps(self) -> Iterator[int]:
        for step in iter(self._group.tell, NO_MORE_STEPS):
            if step == COMPILE:
                compile_training(self._training)
            else:
                yield step

    def before_update(self, step: int) -> None: ...

    def after_step(self, step: int, lr: float, loss: float, grad_norm: float) -> None: ...

    def diverged(self, step: int, lr: float, loss: float, grad_norm: float, where: str) -> None: ...


def follow(training: Training, group: Group) -> None:
    """Do a follower's part until the leader has no more steps."""
    shared = SharedTraining(training, group)
    try:
        train(training, _Follower(training, group))
    except Diverged:
        # The leader, which found the same, says now that there are no more steps.
        group.tell()
    finally:
        shared.close()
