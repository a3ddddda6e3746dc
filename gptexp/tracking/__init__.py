"""Where records go: the run directory and its mirrors."""
