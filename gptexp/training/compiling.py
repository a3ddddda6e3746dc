"""Compiles a model with torch.compile before a run's first step."""

from __future__ import annotations

import time

import torch

from gptexp.errors import GptexpError, read_first_line
from gptexp.training.loop import Training
from gptexp.training.optimizer import make_state


def compile_training(training: Training) -> float:
    """Compile the forward and backward pass of `training` on the batch of step 1, without changing the weights.

    Evaluations and samples are not compiled: compiling for their shapes would take longer than they do. Code that was
    compiled before on this machine is loaded from torch's cache in seconds.

    Returns:
        Seconds that compiling took.

    Raises:
        GptexpError: torch.compile doesn't work on this machine.
    """
    from torch._inductor import config as inductor
    from torch._inductor.cpu_vec_isa import pick_vec_isa

    started = time.perf_counter()
    # Set explicitly, the number of threads is part of the cache key of compiled code; PyTorch before 2.13 otherwise
    # leaves it out.
    inductor.cpp.threads = torch.get_num_threads()
    make_state(training.optimizer)
    training.model.train()
    try:
        if training.hardware.device == "cpu":
            # Likewise the register width: code for wide registers, reused with narrow ones, computes NaN.
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
        reason = read_first_line(error)
        raise GptexpError(
            f"compile=true: torch.compile can't compile here ({reason}); on a CPU it needs a C++ compiler such as g++. "
            f"Install one, or set compile=false"
        ) from None
    training.optimizer.zero_grad()
    return time.perf_counter() - started
