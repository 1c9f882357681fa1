"""What is measured of a model."""

from vae_runner.evaluation.active_units import ActiveUnits
from vae_runner.evaluation.means import Means

__all__ = ["ActiveUnits", "Means"]
