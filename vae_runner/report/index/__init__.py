"""The index of all runs in a folder: what each is, how it has ended, its figures, what it looks like, and how any two
differ.
"""

from vae_runner.report.index.index_page import write_index

__all__ = ["write_index"]
