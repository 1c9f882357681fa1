"""Sweeps: their jobs done, gone on with, and told of."""
