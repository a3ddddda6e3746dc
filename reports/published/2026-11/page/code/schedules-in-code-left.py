def learning_rate(step: int, config: RunConfig) -> float:
    if config.schedule == "constant":
        return config.lr
    warmup, min_lr = config.resolved_warmup_steps, config.resolved_min_lr
    if step <= warmup:
        return config.lr * step / warmup
    start = decay_start(config)
    if step <= start or config.schedule == "warmup-constant":
        return config.lr
    progress = min(1.0, (step - start) / (config.max_steps - start))
    remaining = 0.5 * (1.0 + math.cos(math.pi * progress)) if config.schedule == "warmup-cosine" else 1.0 - progress
    return min_lr + (config.lr - min_lr) * remaining
