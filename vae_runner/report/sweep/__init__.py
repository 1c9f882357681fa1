"""Runs side by side: one HTML file, one table and contact sheets, made from the folders of the runs alone.

`jobs` gathers what the folders say, `seeds` takes together those that differ in the seed alone, `contact` chooses what
their pictures show, `table` and `sections` make the page. Files are only read as JSON, plain YAML and PNG.
"""

from vae_runner.report.sweep.jobs import read_sweep
from vae_runner.report.sweep.sweep_page import write_sweep

__all__ = ["read_sweep", "write_sweep"]
