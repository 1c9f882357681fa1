"""What is measured of a model.

`means` and `active_units` are read in every validation. A score of a trained model is a file below `supervised`, where
the factors of the images are known, or `unsupervised`: pure functions of codes (N, D) and factor classes (N, K), rows
being images, or of a table that batches are drawn from (`draws`). Each returns a `Score`.
"""

from vae_runner.evaluation.active_units import ActiveUnits
from vae_runner.evaluation.draws import Draws
from vae_runner.evaluation.means import Means
from vae_runner.evaluation.score import Score
from vae_runner.evaluation.supervised.beta_vae import beta_vae_score
from vae_runner.evaluation.supervised.dci import dci, dci_forest, dci_linear
from vae_runner.evaluation.supervised.explicitness import explicitness
from vae_runner.evaluation.supervised.factor_vae import factor_vae_score
from vae_runner.evaluation.supervised.infomec import infomec
from vae_runner.evaluation.supervised.irs import irs
from vae_runner.evaluation.supervised.mig import mig, mig_sup, rmig
from vae_runner.evaluation.supervised.modularity import modularity
from vae_runner.evaluation.supervised.posterior_mig import posterior_mig
from vae_runner.evaluation.supervised.sap import sap, sap_continuous
from vae_runner.evaluation.unsupervised.correlation import gaussian_total_correlation, wasserstein_correlation
from vae_runner.evaluation.unsupervised.feature_net import FeatureNet
from vae_runner.evaluation.unsupervised.frechet import frechet_distance
from vae_runner.evaluation.unsupervised.log_evidence import Evidences, log_evidence
from vae_runner.evaluation.unsupervised.manifolds import precision, recall
from vae_runner.evaluation.unsupervised.prior_match import prior_match
from vae_runner.evaluation.unsupervised.reconstruction import Fidelity, mse, psnr, ssim
from vae_runner.evaluation.unsupervised.shared_information import shared_information
from vae_runner.evaluation.unsupervised.udr import udr

__all__ = ["ActiveUnits", "Draws", "Evidences", "FeatureNet", "Fidelity", "Means", "Score", "beta_vae_score", "dci"]
__all__ += ["dci_forest", "dci_linear", "explicitness", "factor_vae_score", "frechet_distance"]
__all__ += ["gaussian_total_correlation", "infomec", "irs", "log_evidence", "mig", "mig_sup", "modularity", "mse"]
__all__ += ["posterior_mig", "precision", "prior_match", "psnr", "recall", "rmig", "sap", "sap_continuous"]
__all__ += ["shared_information", "ssim", "udr", "wasserstein_correlation"]
