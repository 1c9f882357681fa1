"""What is trained, and what is measured: `objective` is the loss, `elbo` the figures that a run is judged by, `facts`
what a term may know of the run.
"""

from vae_runner.objective.elbo import Evidence, measure
from vae_runner.objective.objective import Objective

__all__ = ["Evidence", "Objective", "measure"]
