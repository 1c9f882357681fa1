"""What a run's figures depend on besides its config: versions, machine, code and data."""

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
import torchvision

import vae_runner
from vae_runner.engine import Engine

__all__ = ["describe_latents", "describe_run", "environment"]


def environment(engine: Engine, name: str, choices: Mapping[str, str], commands: list[str]) -> dict[str, Any]:
    """The content of environment.json."""
    return {
        "name": name,
        "choices": dict(choices),
        "data": _data(engine),
        "model": {
            "parameters": sum(parameter.numel() for parameter in engine.objective.model.parameters()),
            "latents": describe_latents(engine),
        },
        "versions": {
            "vae_runner": vae_runner.__version__,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "host": platform.node(),
        "device": torch.cuda.get_device_name(engine.device) if engine.device.type == "cuda" else "cpu",
        "precision": engine.precision,
        "threads": engine.threads,
        "compiled": engine.compiled,
        "git": _git(Path(vae_runner.__file__).parent),
        "commands": commands,
    }


def describe_latents(engine: Engine) -> str:
    """'10 normal', or '6 normal + 4 exponential'."""
    return " + ".join(f"{space.dims} {space.family}" for space in engine.objective.model.spaces)


def describe_run(environment: Mapping[str, Any]) -> str:
    """The line that says what is trained on what."""
    data, choices = environment["data"], environment["choices"]
    shape = "x".join(map(str, data["image_shape"]))
    model = environment["model"]
    described = f"{model['latents']} latents, {model['parameters']:,} parameters"
    return "    ".join(
        [
            f"data  {choices.get('dataset', 'images')} ({data['source']}) {data['images']:,} images {shape}",
            f"model {choices.get('architecture', 'custom')}, {described}",
            f"device {environment['device']} {environment['precision']}",
        ]
    )


def _data(engine: Engine) -> dict[str, Any]:
    data = engine.train.data
    return {
        **data.provenance,
        "fingerprint": data.fingerprint(),
        "images": len(data),
        "train": len(engine.train),
        "validation": len(engine.validation),
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
