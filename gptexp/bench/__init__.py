"""Measures how fast a training step is, compared with a plain loop and with the matrix products alone."""
