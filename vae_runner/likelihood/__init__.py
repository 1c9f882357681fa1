"""-log p(x|z) in nats per image, with its true constants, from what a decoder puts out.

    Bernoulli  -sum_i x_i ln s(l_i) + (1 - x_i) ln(1 - s(l_i)),   l the logits, s the sigmoid; x may be gray in [0, 1]
    Gaussian    sum_i (x_i - mu_i)^2 / (2 sigma^2) + ln sigma + ln(2 pi) / 2
    Laplace     sum_i |x_i - mu_i| / b + ln(2 b)
    discretised logistic  -sum_i ln(s((x_i - mu_i + h) / b_i) - s((x_i - mu_i - h) / b_i)),   h = 1/510, half a level

sigma may be fixed, learned, or the best one for the images at hand (sigma-VAE: Rybkin et al. 2021, arXiv
2006.13202). Images have the range [0, 1], and so have mu, sigma and b. A likelihood says how many channels it needs of
the decoder for each image channel, and what image it means.

Bits per dimension are -ELBO / (C H W ln 2) for a probability. A density's value at a pixel becomes the probability of
one of the 256 levels when it is multiplied by a level's width, 1/256 of the range: 8 bits more. (Pixels at k/255 would
have width 1/255: 0.006 bits less.) It is the convention of papers, and no true code length: noise much narrower than a
level would be rewarded without end, which is why the smallest sigma is limited.
"""

from vae_runner.likelihood.base import Likelihood
from vae_runner.likelihood.discretized import DiscretizedLogistic
from vae_runner.likelihood.fitted_gaussian import LearnedGaussian, OptimalGaussian
from vae_runner.likelihood.fixed_noise import Bernoulli, Gaussian, Laplace
from vae_runner.likelihood.log_scale import softly_limited

__all__ = ["Bernoulli", "DiscretizedLogistic", "Gaussian", "Laplace", "LearnedGaussian", "Likelihood"]
__all__ += ["OptimalGaussian", "softly_limited"]
