"""Runs as pandas frames: from run folders, packed records or W&B."""
