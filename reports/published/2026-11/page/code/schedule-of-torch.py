warmup = LinearLR(optimizer, 1 / warmup_steps, total_iters=warmup_steps - 1)
decay = CosineAnnealingLR(optimizer, max_steps - warmup_steps, floor)
scheduler = SequentialLR(optimizer, [warmup, decay], [warmup_steps - 1])
