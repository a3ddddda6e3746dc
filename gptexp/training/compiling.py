"""torch.compile, before a run's first step."""

from __future__ import annotations

import time

import torch

from gptexp.errors import GptexpError
from gptexp.training.loop import Training
from gptexp.training.optimizer import make_state


def compile_training(training: Training) -> float:
    """Compile forward and backward pass of `training`, on the batch of its first step; nothing is trained by that.

    Evaluations and samples stay as they are: compiling for their shapes would take longer than they do. What was
    compiled once on a machine is read again in seconds.

    Returns:
        Seconds that it took.

    Raises:
        GptexpError: this machine can't compile.
    """
    from torch._inductor import config as inductor
    from torch._inductor.cpu_vec_isa import pick_vec_isa

    started = time.perf_counter()
    # Named, the number is part of what compiled code is found again by; PyTorch before 2.13 left it out otherwise.
    inductor.cpp.threads = torch.get_num_threads()
    make_state(training.optimizer)
    training.model.train()
    try:
        if training.hardware.device == "cpu":
            # Likewise: code for wide registers, found again where narrow ones are in use, computes NaN.
            inductor.cpp.simdlen = pick_vec_isa().bit_width()
        training.model.compile_training()
        x, y = next(iter(training.batches(1)))
        with training.hardware.autocast():
            loss = training.model.loss(x, y)
        loss.backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        training.model.forget_compiled()
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise GptexpError(
            f"compile=true: torch.compile can't compile here ({reason}); on a CPU it takes a C++ compiler such as g++. "
            f"Install one, or leave compile out"
        ) from None
    training.optimizer.zero_grad()
    return time.perf_counter() - started
