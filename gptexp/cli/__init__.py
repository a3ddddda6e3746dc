"""The command line. Each command imports torch, wandb or pandas only when it needs them."""
