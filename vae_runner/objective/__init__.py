"""What is trained, and what is measured: `objective` is the loss, `elbo` the figures that a run is judged by, `facts`
what a term may know of the run, `bound` and `pairs` terms that take the place of -ELBO in the loss.
"""

from vae_runner.objective.bound import ImportanceBound
from vae_runner.objective.elbo import Evidence, measure
from vae_runner.objective.objective import Objective
from vae_runner.objective.pairs import PairAveraging

__all__ = ["Evidence", "ImportanceBound", "Objective", "PairAveraging", "measure"]
