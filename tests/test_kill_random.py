"""The program as a user starts it, killed again and again at random moments: what it comes to is what it would have."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from photos import settled, write_photos
from test_kill import KILLED, TRAINING, assert_equals_the_unbroken

from vae_runner.files import read_json

KILLS = 50
STEPS = 200
LONGER = {
    **{"engine.steps": STEPS, "engine.log_every": 5, "engine.validate_every": 40, "engine.picture_every": 50},
    **{"engine.checkpoint_every": 10, "divergence": "capacity", "divergence.capacity.steps": 200},
}
COMPLETE = f"vae-train: error: run is complete at step {STEPS} of {STEPS}; engine.steps=N trains it longer\n"


class Program:
    """`vae-train` in a folder: anew, or going on with the run that is there. All that it says is in one file."""

    def __init__(self, folder: Path, settings: tuple[str, ...]) -> None:
        folder.mkdir(exist_ok=True)
        self.screen, self.log = folder / ".screen", folder / "run/train.log"
        arguments = ("resume=run",) if (folder / "run/config.yaml").exists() else (*settings, "hydra.run.dir=run")
        self.begun = self.beginnings()
        with open(self.screen, "w") as screen:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vae_runner", *arguments],
                cwd=folder, stdout=screen, stderr=screen,
            )  # fmt: skip

    def beginnings(self) -> int:
        """How often the run has been begun or gone on with: from its `run` line on, it can be resumed."""
        return self.log.read_text().count("INFO run  ") if self.log.exists() else 0

    def wait_for_beginning(self) -> None:
        while self.process.poll() is None and self.beginnings() == self.begun:
            time.sleep(0.02)

    def ends_within(self, seconds: float | None) -> bool:
        """Whether it ends by itself; after those seconds it is killed."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return self.process.wait() != KILLED

    def assert_is_done(self) -> None:
        """It has made its last step; or, killed after it was done, it has nothing left to do."""
        said = self.screen.read_text()
        assert (self.process.returncode == 0) or (self.process.returncode == 2 and said.endswith(COMPLETE)), said


@pytest.mark.exhaustive
def test_fifty_random_kills_cost_nothing(tmp_path: Path) -> None:
    photos = settled(write_photos(tmp_path / "photos", 40, (20, 16), ".png"))
    kept = [setting for setting in TRAINING if setting.partition("=")[0] not in LONGER]
    settings = (*kept, *(f"{name}={value}" for name, value in LONGER.items()), f"dataset.root={photos}")
    unbroken = Program(tmp_path / "unbroken", settings)
    unbroken.wait_for_beginning()
    begun = time.monotonic()
    assert unbroken.ends_within(None)
    longest = time.monotonic() - begun
    unbroken.assert_is_done()
    generator, runs, kills = random.Random(0), 0, Counter[str]()
    while kills.total() < KILLS:
        runs += 1
        folder, is_done = tmp_path / f"killed{runs}", False
        while not is_done:
            program = Program(folder, settings)
            program.wait_for_beginning()
            begun = time.monotonic()
            is_done = program.ends_within(generator.uniform(0, longest) if kills.total() < KILLS else None)
            if is_done:  # the machine may have become quicker: most kills are to hit a run under way
                longest = min(longest, max(time.monotonic() - begun, 1.0))
            if not is_done:
                kills[read_json(folder / "run/status.json").get("state", "not begun")] += 1
        program.assert_is_done()
        assert_equals_the_unbroken(folder, tmp_path / "unbroken")
    print(f"{longest:.1f} s of training; killed while it was {dict(kills)}; {runs} runs, equal to the unbroken one")
