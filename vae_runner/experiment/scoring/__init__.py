"""Scores of a trained run: `catalogue` says which there are, `subject` has the codes and images they are made of,
`evaluation` makes them into `records`, `alike_runs` compares runs of one setting.
"""
