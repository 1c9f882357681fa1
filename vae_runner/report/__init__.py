"""The report of a run: one HTML file, made from what lies in the run's folder, that needs nothing else to be read.

No scripts and no network: curves are inline SVG, pictures are embedded as they are. `folder` reads, `findings` and
`figures` judge, `sections` has one function for each part of the page, `chart` draws, `markup` escapes.
"""

from vae_runner.report.write import Report, write_report

__all__ = ["Report", "write_report"]
