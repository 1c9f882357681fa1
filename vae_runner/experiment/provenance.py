"""What a run's figures depend on besides its config: versions, machine, code and data.

A run that is resumed has a session for each time that it was taken up. What stands outside of the sessions is the last
one's.
"""

import platform
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hydra
import numpy
import omegaconf
import PIL
import torch

import vae_runner
from vae_runner.auto_encoder import VAE
from vae_runner.datasets.split import Parts
from vae_runner.engine import Engine
from vae_runner.experiment.scoring.curve import parts_of
from vae_runner.foreign import dig
from vae_runner.runs.words import images

__all__ = ["describe_data", "describe_model", "describe_run", "environment", "warn_of_another_place"]

# What a session keeps for itself, and, of that, what is told where it is not the same: a resumed run may then differ.
KEPT = ("versions", "host", "processor", "device", "processes", "precision", "threads", "git")
TOLD = {
    "torch": ("versions", "torch"),
    "vae_runner": ("versions", "vae_runner"),
    "git commit": ("git", "commit"),
    "device": ("device",),
    "processor": ("processor",),
    "processes": ("processes",),
    "precision": ("precision",),
    "threads": ("threads",),
}


def environment(engine: Engine, known: Mapping[str, Any], command: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The content of environment.json: `known` is what it was, or, of a new run, its name and the options chosen.

    `command` is what the user typed, `changes` are the settings that he changed on resume.
    """
    now = _here(engine)
    session = {
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "from_step": engine.step,
        "changes": dict(changes),
        **{name: now[name] for name in KEPT},
        "data": now["data"]["fingerprint"],
    }
    kept = {name: known.get(name) for name in ("commands", "sessions")}
    before: dict[str, list[Any]] = {name: value if isinstance(value, list) else [] for name, value in kept.items()}
    return {
        "name": known["name"],
        "choices": dict(known["choices"]) if isinstance(known["choices"], Mapping) else {},
        **now,
        "commands": [*before["commands"], command],
        "sessions": [*before["sessions"], session],
    }


def warn_of_another_place(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """A line for each thing that is not as it was, and that the last digits of the figures may depend on."""
    for name, keys in TOLD.items():
        had, has = dig(before, *keys), dig(now, *keys)
        if had is not None and had != has:
            yield f"{name} is {has} now and was {had}: figures may differ in their last digits"


def _here(engine: Engine) -> dict[str, Any]:
    """What is trained, and with what."""
    return {
        "data": describe_data(parts_of(engine)),
        "model": describe_model(engine.objective.model),
        "versions": {
            "vae_runner": vae_runner.__version__,
            "torch": torch.__version__,
            "torchvision": version("torchvision"),  # not imported: a second of the start
            "numpy": numpy.__version__,
            "hydra": hydra.__version__,
            "omegaconf": omegaconf.__version__,
            "pillow": PIL.__version__,
            "cuda": torch.version.cuda,
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "host": platform.node(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",  # which kernels torch takes
        "device": torch.cuda.get_device_name(engine.device) if engine.device.type == "cuda" else "cpu",
        "processes": engine.ranks.world,
        "precision": engine.precision,
        "threads": engine.threads,
        "compiled": engine.compiled,
        "git": _git(Path(vae_runner.__file__).parent),
    }


def describe_model(model: VAE) -> dict[str, Any]:
    """How many parameters it has, and what latents: '10 normal', or '6 normal + 4 exponential'."""
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "latents": " + ".join(f"{space.dims} {space.family}" for space in model.spaces),
    }


def describe_run(environment: Mapping[str, Any]) -> str:
    """The line that says what is trained on what."""
    data, choices = environment["data"], environment["choices"]
    shape = "x".join(map(str, data["image_shape"]))
    size = images(data["images"], data["train"], data["validation"], data["test"])
    model = environment["model"]
    described = f"{model['latents']} latents, {model['parameters']:,} parameters"
    return "    ".join(
        [
            f"data  {choices.get('dataset', 'images')} ({data['source']}) {size} {shape}",
            f"model {choices.get('architecture', 'custom')}, {described}",
            f"device {environment['device']} {environment['precision']}",
        ]
    )


def describe_data(parts: Parts) -> dict[str, Any]:
    """Where the images are from, what tells them from others, how many there are of each part, and which: `parts` of
    all, `measured` of those that are not trained on.
    """
    data = parts.train.data
    return {
        **data.provenance,
        "fingerprint": data.fingerprint(),
        "images": len(data),
        "train": len(parts.train),
        "validation": len(parts.validation),
        "test": len(parts.test),
        "parts": parts.mark(),
        "measured": parts.measured(),
        "image_shape": list(data.image_shape),
    }


def _git(folder: Path) -> dict[str, Any] | None:
    """The commit that the code is of, and whether files were changed since; None outside a checkout."""
    try:
        if not _git_output(folder, "ls-files", "--error-unmatch", "__init__.py"):
            return None
        return {
            "commit": _git_output(folder, "rev-parse", "HEAD"),
            "dirty": bool(_git_output(folder, "status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):
        return None


def _git_output(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
