"""Optimizers by name. A new one is a file beside this one, and a line in `gptexp.names`.

What a name stands for is called with the model and the config, and gives a `torch.optim.Optimizer` that holds the
parameters. The loop does the rest (`gptexp.training.optimizer`): it sets the rate of every step, clips, and takes no
step where a number isn't finite. For a run to go on exactly, all that an optimizer remembers has to be tensors in its
`state`, by parameter: that is what a checkpoint holds.
"""
