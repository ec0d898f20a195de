"""The lanes axis: programs, populations, placement. Nothing here knows Optuna."""
