for step in range(max_steps):
    x, y = next(train_iter)
    for param_group in optimizer.param_groups:
        param_group["lr"] = learning_rate(step + 1)
    logits = model(x)
    loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer.step()
