"""`vae-report` beside its pages: what a paper takes from runs."""
