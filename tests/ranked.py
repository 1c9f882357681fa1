"""One of two processes of a test, as torchrun would start them. It makes a few steps of each run that it is asked for,
alone and together with the other, and tells how far they are from one another; then it does whole programs with it.

Run as a program, with a file of what it is asked for, JSON; it prints one line of JSON.
"""

import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_runner import cli
from vae_runner.engine import Engine, Interrupted
from vae_runner.experiment.assemble import assemble
from vae_runner.ranks import Ranks
from vae_runner.ranks.joining import joined
from vae_runner.ranks.torchrun import Place
from vae_runner.state import LOSS, METRICS, X

__all__ = ["environments", "in_two_processes"]

STEPS = 4
Said = dict[str, Any]


def environments(processes: int = 2) -> list[dict[str, str]]:
    """What torchrun sets for each process."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
    meeting |= {"LOCAL_WORLD_SIZE": str(processes), "OMP_NUM_THREADS": "1"}
    return [{**os.environ, **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def in_two_processes(folder: Path, configs: Said, programs: Mapping[str, Sequence[str]]) -> list[Said]:
    """What each process has found of the runs, and of the programs, by their names; `stop` is one of the runs."""
    asked = {"configs": configs, "programs": {name: [free_port(), *given] for name, given in programs.items()}}
    (folder / "asked.json").write_text(json.dumps(asked))
    command = [sys.executable, __file__, folder / "asked.json"]
    given: dict[str, Any] = {"cwd": folder, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=environment, **given) for environment in environments()]
    said = [process.communicate(timeout=900)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    return [json.loads(text.splitlines()[-1]) for text in said]


def found(ranks: Ranks, config: dict[str, Any]) -> Said:
    """How far steps together are from those alone: of the first one gradient, figures and buffers, relative to their
    size; the losses of all; and a digest of what the run has come to.
    """
    alone, together = assemble(config), assemble(config, ranks=ranks)
    for engine in (alone, together):
        engine.prepare()  # to be compiled, where that is asked for
    states = [engine.train_step() for engine in (alone, together)]
    gradients = [torch.cat([one.grad.flatten() for one in weights(engine)]).double() for engine in (alone, together)]
    buffers = [dict(engine.objective.named_buffers()) for engine in (alone, together)]
    told = {
        "gradient": float((gradients[0] - gradients[1]).norm() / gradients[0].norm()),
        "figures": furthest(*(state[METRICS] for state in states)),
        "buffers": furthest(*buffers),
        "images": [len(state[X]) for state in states],
    }
    losses = [[float(engine.train_step()[LOSS]) for _ in range(STEPS)] for engine in (alone, together)]
    digest = hashlib.sha256()
    for tensor in together.objective.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    return {**told, "losses": losses, "digest": digest.hexdigest()}


def weights(engine: Engine) -> list[nn.Parameter]:
    return [one for one in engine.objective.parameters() if one.grad is not None]


def furthest(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """The largest distance of two of one name, relative to the larger of their size and 1."""
    assert first.keys() == second.keys()
    pairs = [(first[name].double(), second[name].double()) for name in first]
    return max(float((a - b).abs().max() / a.abs().max().clamp(min=1)) for a, b in pairs)


def stopped(ranks: Ranks, config: dict[str, Any]) -> Said:
    """Where a run stops whose second process, alone, is sent a signal in step 2."""
    engine = assemble(config, ranks=ranks)
    engine.stop_signal = lambda: signal.SIGTERM if ranks.rank == 1 and engine.step >= 2 else None
    try:
        while engine.step < engine.total_steps:
            engine.advance()
    except Interrupted as stop:
        return {"number": stop.number, "step": stop.step}
    return {}


def program(port: int, *arguments: str) -> Said:
    """What `vae-train` says, and its exit code."""
    os.environ["MASTER_PORT"] = str(port)
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = cli.run(list(arguments))
    return {"code": code, "out": out.getvalue(), "errors": errors.getvalue()}


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())
    said = {}
    with joined(Place.told(os.environ)) as ranks:
        for name, config in asked["configs"].items():
            said[name] = (stopped if name == "stop" else found)(ranks, config)
    for name, (port, *arguments) in asked["programs"].items():
        said[name] = program(port, *arguments)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
