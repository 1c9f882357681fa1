"""Codes whose scores the published implementation (disentanglement_lib) has computed: scores.npz and scores.json.

Where it draws, it is followed draw by draw, so that nothing is left to chance.
"""

import json
from pathlib import Path

import numpy as np

from vae_runner.evaluation import Draws

HERE = Path(__file__).parent
RESULTS = json.loads((HERE / "scores.json").read_text())
CODES = np.load(HERE / "scores.npz")
NAMES = list(RESULTS["reps"])
FACTORS, SIZES = CODES["factors"].astype(np.int64), CODES["sizes"]
STRIDES = np.array(RESULTS["meta"]["strides"])


def codes_of(name: str) -> np.ndarray:
    """The codes (11520, D) of the whole grid."""
    return CODES[f"rep_{name}"]


def drawn_by(name: str, score: str, seed: int = 0) -> float:
    """The published implementation's value, from draws of that seed."""
    module, _, key = score.partition(".")
    return RESULTS["reps"][name]["dlib"][f"{module}.{key}"]["per_seed"][seed]


def classes(generator: np.random.RandomState, count: int) -> np.ndarray:
    return np.stack([generator.randint(size, size=count) for size in SIZES], 1)


def drawn(name: str, generator: np.random.RandomState, count: int, batch: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Codes and factors of `count` draws, a batch after the other."""
    parts = [classes(generator, min(batch, count - start)) for start in range(0, count, batch)]
    factors = np.concatenate(parts)
    return codes_of(name)[factors @ STRIDES], factors


class PublishedDraws(Draws):
    """Batches with a factor fixed, in the published order of draws."""

    def __init__(self, name: str, seed: int, pairs: bool, batch: int = 64) -> None:
        super().__init__(codes_of(name), FACTORS, seed)
        self.random, self.is_of_pairs, self.batch = np.random.RandomState(seed), pairs, batch
        self.ready: list[tuple[np.ndarray, ...]] = []

    def rows(self, count: int) -> np.ndarray:
        return classes(self.random, count) @ STRIDES

    def of_places(self, count: int) -> np.ndarray:
        places = []
        for _ in range(count):
            place = self.random.randint(len(SIZES))
            first = classes(self.random, self.batch)
            second = classes(self.random, self.batch) if self.is_of_pairs else first
            if self.is_of_pairs:
                second[:, place] = first[:, place]
            else:
                first[:, place] = first[0, place]
            places.append(place)
            self.ready.append((first, second))
        return np.array(places)

    def fixed(self, places: np.ndarray, batch: int) -> np.ndarray:
        return self.pairs(places, batch)[0]

    def pairs(self, places: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
        assert batch == self.batch
        taken, self.ready = self.ready[: len(places)], self.ready[len(places) :]
        first, second = (np.stack(part) for part in zip(*taken, strict=True))
        return self.codes[first @ STRIDES], self.codes[second @ STRIDES]
