"""Copies of a run's records elsewhere: W&B and others."""
