def estimate_right(measure, val_loader, val_steps):
    total = 0.0
    for x, y in islice(val_loader, val_steps):
        total += measure(x, y)
    return total / val_steps
