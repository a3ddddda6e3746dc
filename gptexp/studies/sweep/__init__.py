"""Sweeps: a sweep file is searched with Optuna, by any number of processes that share the sweep's folder."""
