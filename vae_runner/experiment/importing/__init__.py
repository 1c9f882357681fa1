"""Checkpoints of other programs, made into runs."""
