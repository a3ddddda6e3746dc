"""How fast a training step is on this machine, beside a plain loop and beside the matrix products alone."""
