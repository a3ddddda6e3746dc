def learning_rate(step, peak, floor, warmup_steps, max_steps):
    if step <= warmup_steps:
        return peak * step / warmup_steps
    progress = (step - warmup_steps) / (max_steps - warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return floor + (peak - floor) * cosine
