"""Sweeps: one sweep file, searched by Optuna, by as many processes as share its folder."""
