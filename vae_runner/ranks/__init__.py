"""One run by several processes, each on a device of its own: `torchrun` which of them this one is (its rank), `group`
and `several` what they are to one another, `share` what a process's rows of a batch are to the whole of it, `message`
what they tell one another in every step, `last_words` what is read where one of them has ended.

One process alone is `ALONE`: it has the whole batch, and nobody to tell anything.
"""

from vae_runner.ranks.group import ALONE, Ranks, current
from vae_runner.ranks.share import mean_of_all, own, whole

__all__ = ["ALONE", "Ranks", "current", "mean_of_all", "own", "whole"]
