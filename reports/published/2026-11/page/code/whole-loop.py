for step in range(max_steps):
    x, y = next(train_iter)  # both (B, T): tokens, and the tokens that follow them
    for param_group in optimizer.param_groups:
        param_group["lr"] = learning_rate(step + 1)
    logits = model(x)  # (B, T, vocabulary)
    loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer.step()

    if (step + 1) % every == 0:
        model.eval()
        with torch.no_grad():
            losses = []
            for x, y in islice(val_loader, 20):  # 20 different batches
                losses.append(F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item())
        val_loss = sum(losses) / len(losses)
        print(step + 1, loss.item(), val_loss)
        print(generate(model))
        weights, moments = model.state_dict(), optimizer.state_dict()
        state = {"step": step + 1, "model": weights, "optimizer": moments}
        torch.save(state, "checkpoint.pt")
        model.train()
