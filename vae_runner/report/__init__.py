"""Reports: HTML files made from what lies in the folders of runs, that need nothing else to be read.

No network; curves are inline SVG, pictures are embedded as they are. `vae_runner.runs` reads, `findings` and `figures`
judge; `sections`, `gallery`, `curves`, `latents` and `scored` have a function for each part of a run's page; `chart`
makes elements of what `vae_runner.drawing` draws, `markup` escapes. `sweep` sets runs side by side. Nothing imports
torch, for `vae-report`.
"""

from vae_runner.report.run.run_page import write_report

__all__ = ["write_report"]
