def torch_scheduler(optimizer: torch.optim.Optimizer, config: RunConfig) -> LRScheduler:
    if config.schedule == "constant":
        return LambdaLR(optimizer, lambda _: 1.0)
    warmup, min_lr, start = config.resolved_warmup_steps, config.resolved_min_lr, decay_start(config)
    decay_steps = max(1, config.max_steps - start)
    # A SequentialLR restarts its parts' clocks at each milestone; a milestone m hands over at step m + 1.
    stages: list[LRScheduler] = []
    milestones: list[int] = []
    if warmup > 1:
        stages.append(LinearLR(optimizer, start_factor=1 / warmup, end_factor=1.0, total_iters=warmup - 1))
        milestones.append(warmup - 1)
    if start > max(warmup, 1):
        stages.append(LambdaLR(optimizer, lambda _: 1.0))
        milestones.append(start - 1)
    if config.schedule == "warmup-constant":
        stages.append(LambdaLR(optimizer, lambda _: 1.0))
    elif config.schedule == "warmup-cosine":
        stages.append(CosineAnnealingLR(optimizer, T_max=decay_steps, eta_min=min_lr))
    else:
        stages.append(LinearLR(optimizer, start_factor=1.0, end_factor=min_lr / config.lr, total_iters=decay_steps))
    return SequentialLR(optimizer, stages, milestones) if len(stages) > 1 else stages[0]
