"""What is measured of a model."""

from vae_runner.metrics.active_units import ActiveUnits
from vae_runner.metrics.means import Means

__all__ = ["ActiveUnits", "Means"]
