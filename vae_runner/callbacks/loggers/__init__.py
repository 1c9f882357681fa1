"""Loggers of other makers, each by its own package, which is imported where it is asked for and nowhere else."""
