"""What a reader has to know of a score's figures: their unit, which way is better, and what its matrix shows.

A score that is not named here, as it is of another version, is shown by its name; more of it counts as better.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["HEADS", "LOWER_IS_BETTER", "MAPS", "PER_FACTOR", "PER_LATENT", "UNITS", "Kind", "beside", "digits"]
__all__ += ["figure"]

UNITS = {"total_correlation": "nats", "shared_information": "nats", "rmig": "nats", "log_px": "nats"}
UNITS |= {"rate_distortion": "nats", "active_units": "latents"}
COUNTS = frozenset({"active", "active_units", "samples", "effective", "effective_min", "runs", "neighbours"})
LOWER_IS_BETTER = frozenset({"total_correlation", "wasserstein", "shared_information", "rate_distortion"})
LOWER_IS_BETTER |= {"reconstruction", "prior_match", "fid", "neg_elbo", "bits_per_dim", "recon", "kl"}
# Heads of columns, and digits behind the point, of what the same columns in validation have a name for.
HEADS = {"neg_elbo": "-ELBO", "bits_per_dim": "Bits/dim", "recon": "Recon.", "kl": "KL"}
DIGITS = {"neg_elbo": 1, "recon": 1, "kl": 2}


@dataclass(frozen=True)
class Kind:
    """A heat map.

    scores       whose matrices are the same but for their draws: the first that is there is shown
    about        what a cell is
    of_latents   its columns are latents too
    most         the largest value that there can be; None: without a limit
    """

    scores: tuple[str, ...]
    title: str
    about: str
    of_latents: bool = False
    most: float | None = None


MAPS = (
    Kind(("dci",), "Importance to boosted trees", "share of what tells a factor; `dci`"),
    Kind(("dci_forest",), "Importance to random forests", "share of what tells a factor; `dci_forest`"),
    Kind(("dci_linear",), "Importance to linear models", "sum of |weights|; `dci_linear`"),
    Kind(("mig", "rmig", "modularity"), "Mutual information", "I(latent; factor), nats, 20-bin histograms of means"),
    Kind(("mig_sup",), "Share of a factor's entropy", "I(latent; factor) / H(factor), 20-bin histograms", most=1.0),
    Kind(("infomec",), "Normalised information", "I / H(factor), by nearest neighbours; `infomec`", most=1.0),
    Kind(("posterior_mig",), "Mutual information with noise", "I(latent; factor), nats, by the posteriors' densities"),
    Kind(("sap",), "Accuracy of one latent alone", "linear SVMs; `sap`", most=1.0),
    Kind(("sap_continuous",), "Squared correlation", "of a latent and a factor's class number", most=1.0),
    Kind(("irs",), "Robustness", "1 - deviation / largest while the factor is held; `irs`", most=1.0),
    Kind(("factor_vae",), "Votes", "batches in which the latent varied least, of those that held the factor"),
    Kind(("total_correlation",), "Correlation of latents", "over images", of_latents=True, most=1.0),
    Kind(("shared_information",), "Information shared by latents", "nats, 20-bin histograms", of_latents=True),
)
PER_FACTOR = {
    "mig": "MIG",
    "rmig": "RMIG, nats",
    "posterior_mig": "posterior MIG",
    "dci": "informativeness, boosted trees",
    "dci_forest": "informativeness, forests",
    "dci_linear": "informativeness, linear",
    "sap": "SAP",
    "sap_continuous": "SAP, continuous",
    "beta_vae": "BetaVAE score",
    "explicitness": "explicitness",
    "infomec": "InfoE",
}
PER_LATENT = {
    "rate_distortion": "KL, nats",
    "active_units": "variance of the mean",
    "prior_match": "variance of samples",
    "dci": "disentanglement, boosted trees",
    "dci_forest": "disentanglement, forests",
    "dci_linear": "disentanglement, linear",
    "mig_sup": "MIG-sup",
    "modularity": "modularity",
    "irs": "IRS",
    "infomec": "InfoM",
}


def digits(name: str) -> int:
    """How many stand behind the point in a column of that score."""
    return DIGITS.get(name, 3)


def figure(name: str, value: float) -> str:
    """'0.3120', '-1,234.5', '3.1e-06', 'inf'; of what is counted '10'."""
    if not math.isfinite(value):
        return str(value)
    if name in COUNTS or abs(value) >= 100:
        return f"{value:,.0f}" if name in COUNTS else f"{value:,.1f}"
    return f"{value:.4f}" if abs(value) >= 1e-4 or value == 0 else f"{value:.1e}"


def beside(others: Mapping[str, float]) -> str:
    """'completeness 0.3120, informativeness 0.8000': the other figures, but those of each latent and their errors."""
    told = [name for name in others if "/" not in name and not name.endswith("_error")]
    return ", ".join(f"{name} {figure(name, others[name])}" for name in told)
