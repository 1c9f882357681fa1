"""What a paper takes from runs: a sweep's table as LaTeX, charts over its seeds, and a run's scores as heat maps."""
