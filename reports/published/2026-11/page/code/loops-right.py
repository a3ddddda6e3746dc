def train_gpt(
    model: nn.Module,
    train_loader: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    n_steps: int,
    learning_rate: Callable[[int], float],
) -> list[float]:
    losses = []
    model.train()
    batches = cycle(train_loader)
    for step in range(1, n_steps + 1):
        x, y = next(batches)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        logits = model(x)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses
