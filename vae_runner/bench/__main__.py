"""`vae-bench`: the command line of the bench."""

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any, NoReturn

from vae_runner import __version__
from vae_runner.cli import exit_code_of
from vae_runner.errors import UserError
from vae_runner.runs.words import duration

__all__ = ["main"]

HELP = """\
how fast training is on this machine: a bare fp32 loop, our step and the whole engine, in turns

examples:
  vae-bench                                           the default config, one thread
  vae-bench engine.batch_size=256 --threads 2
  vae-bench architecture=mlp divergence=kl --rounds 12
  vae-bench --parts                                   what each part of the fast step contributes, taken out in turns
  vae-bench architecture=conv distribution=normal --against pythae     pythae's VAE and trainer with the same net

A figure is the median over the turns, with its quartiles; a ratio that of neighbouring turns. All are started four
times, for how a process lays out its memory changes the bare loop's time by half. Close what else runs.
On a GPU there are two columns more: the part of a step for which it is busy, and its memory.
The last line is JSON."""
FEATURES = {  # of a processor, the strongest last, and what each means for bf16
    "avx2": "no bf16",
    "avx512_f": "no bf16",
    "avx512_bf16": "dot products of bf16",
    "amx_bf16": "a matrix unit for bf16",
}
START = 5.0  # seconds from a program's start to its first step, without a compilation
PARTS = {
    "compile": "engine.compile",
    "bf16": "engine.precision",
    "channels last": "engine.channels_last",
    "fast convolutions": "engine.fast_convolutions",
    "kept memory": "engine.keep_memory",
    "fused optimiser": "optimizer.fused",
}


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, as all programs here do."""

    def error(self, message: str) -> NoReturn:
        """Raises `UserError`, with what is wrong."""
        without = "; settings are written without dashes" if message.startswith("unrecognized") else ""
        raise UserError(f"{message.removeprefix('argument ')}{without}; see vae-bench --help")


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says, and exit."""
    sys.exit(exit_code_of("vae-bench", lambda: _bench(_options(arguments))))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, taken apart. Exits where there is a mistake in it, or no more to do than to print the help."""
    parser = _Parser("vae-bench", description=HELP, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE", help="of vae-train")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each program in all (default 8)")
    parser.add_argument("--starts", type=int, default=4, help="of each program, which share the rounds (default 4)")
    parser.add_argument("--seconds", type=float, default=1.0, help="that a turn takes (default 1)")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder with options of your own")
    parser.add_argument("--parts", action="store_true", help="take the parts of the fast step out, one at a time")
    parser.add_argument("--against", choices=("pythae",), help="another program too: pip install 'vae_runner[pythae]'")
    parser.add_argument("--version", action="version", version=f"vae-bench {__version__}", help="the version")
    options = parser.parse_args(arguments)
    if options.threads < 1 or options.rounds < 2 or not options.seconds > 0:
        parser.error("give --threads 1 or more, --rounds 2 or more and --seconds above 0")
    if options.parts and options.against:
        parser.error("--parts and --against do not go together; give one of them")
    if not 1 <= options.starts <= options.rounds:
        parser.error("give --starts from 1 to as many as there are rounds")
    return options


def _bench(options: argparse.Namespace) -> int:
    from vae_runner.bench.peers import check_peer
    from vae_runner.bench.rounds import take_turns
    from vae_runner.bench.worker import config_of

    if options.against:
        check_peer(options.against)

    settings = [*options.settings, f"engine.threads={options.threads}"]
    if options.config_dir is not None:
        settings.append(f"--config-dir={options.config_dir}")
    config = config_of(settings)
    names = [*NAMES[:1], *([options.against] if options.against else []), *NAMES[1:]]
    programs = _parts(settings, config) if options.parts else {name: [name, *settings] for name in names}
    print(_heading(config, options), flush=True)
    print(f"{_on(_machine(config['engine']['device']))}; {_estimate(len(programs), options)}", flush=True)
    timings = take_turns(programs, options.rounds, options.seconds, options.starts)
    record = _record(timings, config, options)
    print(_table(record))
    print(json.dumps(record))
    return 0


NAMES = ("bare", "step", "engine")


def _parts(settings: Sequence[str], config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Our step whole, and without each of its parts that are there to be taken out."""
    if "fused" not in config["optimizer"]:
        raise UserError("--parts needs an optimiser that can be fused")
    compiled = [*settings, "engine.compile=true"]
    off = {key: f"{key}={'fp32' if key == 'engine.precision' else 'false'}" for key in PARTS.values()}
    programs = {"bare": ["bare", *settings], "whole": ["step", *compiled]}
    for name, key in PARTS.items():
        kept = [setting for setting in compiled if not setting.startswith(f"{key}=")]
        programs[f"without {name}"] = ["step", *kept, off[key]]
    return programs


def _record(timings: Mapping[str, Any], config: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    from vae_runner.bench.rounds import Spread

    size = config["engine"]["batch_size"]
    first, *others = timings
    reference = timings[first].seconds

    def ratio(label: str, to: Sequence[float]) -> dict[str, float]:
        return asdict(Spread.of([theirs / ours for ours, theirs in zip(timings[label].seconds, to, strict=True)]))

    record: dict[str, Any] = {
        "settings": options.settings,
        "batch_size": size,
        "threads": options.threads,
        "rounds": options.rounds,
        "starts": options.starts,
        "machine": _machine(config["engine"]["device"]),
        "programs": {label: _program(timing, size) for label, timing in timings.items()},
        "times_" + first: {label: ratio(label, reference) for label in others},
    }
    if options.against:
        theirs = timings[options.against].seconds
        record["times_" + options.against] = {label: ratio(label, theirs) for label in NAMES}
    if "engine" in timings:
        record["engine_of_step"] = ratio("engine", timings["step"].seconds)
        record["engine_of_step_without_parts"] = asdict(
            Spread.of([s / e for s, e in zip(timings["step"].steps, timings["engine"].steps, strict=True)])
        )
    return record


def _machine(device_name: str) -> dict[str, Any]:
    """What the figures were measured on."""
    import torch

    from vae_runner.engine import choose_device

    device, known = choose_device(device_name), getattr(torch.cpu, "get_capabilities", dict)()
    return {
        "processor": known.get("cpu_name", platform.machine()),
        "features": [name for name in FEATURES if known.get(name)],
        "cores": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
    }


def _on(machine: Mapping[str, Any]) -> str:
    """'on Intel Xeon (avx2, avx512_f, avx512_bf16, amx_bf16: a matrix unit for bf16), 2 cores, torch 2.14.1'."""
    features = ", ".join(machine["features"]) or "no vector features known"
    unit = f": {FEATURES[machine['features'][-1]]}" if machine["features"] else ""
    place = f"{machine['device']}, " if machine["device"] != "cpu" else ""
    return f"on {place}{machine['processor']} ({features}{unit}), {machine['cores']} cores, torch {machine['torch']}"


def _program(timing: Any, batch_size: int) -> dict[str, Any]:
    """What was measured of one program, for batches of that size."""
    from vae_runner.bench.rounds import Spread

    return {
        "images_per_second": asdict(Spread.of([batch_size / taken for taken in timing.seconds])),
        "seconds_per_step": asdict(Spread.of(timing.seconds)),
        "parts": timing.parts,
        "peak_memory_bytes": timing.peak_memory,
        "first_step_seconds": timing.first_step,
        **_gpu(timing),
    }


def _gpu(timing: Any) -> dict[str, float]:
    """What a program took of a GPU: the part of a step's time for which it was busy, and bytes."""
    if not timing.gpu:
        return {}
    busy = median(use.busy for use in timing.gpu) / median(timing.steps)
    return {"gpu_busy": min(busy, 1.0), "gpu_memory_bytes": max(use.memory for use in timing.gpu)}


def _heading(config: Mapping[str, Any], options: argparse.Namespace) -> str:
    settings = " ".join(options.settings) or "the default config"
    turns = f"{options.threads} thread(s), {options.rounds} rounds in {options.starts} start(s)"
    return f"{settings}: batch size {config['engine']['batch_size']}, {turns}"


def _estimate(programs: int, options: argparse.Namespace) -> str:
    """'about 2.1 min': the turns, and what starting a program and finding its number of steps takes, at the least."""
    return (
        f"about {duration(programs * (options.rounds * options.seconds + options.starts * (START + options.seconds)))}"
    )


def _table(record: Mapping[str, Any]) -> str:
    reference = next(key for key in record if key.startswith("times_"))
    lines = [f"{'':26}{'images/s':>10}{'quartiles':>18}{'times ' + reference[6:]:>12}{'memory':>10}{'1st step':>10}"]
    if any("gpu_busy" in figures for figures in record["programs"].values()):
        lines[0] += f"{'GPU busy':>10}{'its memory':>12}"
    for label, figures in record["programs"].items():
        rate = figures["images_per_second"]
        times = record[reference].get(label, {"median": 1.0})["median"]
        lines.append(
            f"{label:26}{rate['median']:>10,.0f}{rate['low']:>10,.0f}{rate['high']:>8,.0f}{times:>12.2f}"
            f"{figures['peak_memory_bytes'] / 1e9:>7.2f} GB{figures['first_step_seconds']:>8.1f} s"
        )
        if "gpu_busy" in figures:
            lines[-1] += f"{figures['gpu_busy']:>10.0%}{figures['gpu_memory_bytes'] / 1e9:>9.2f} GB"
    lines += [_against(record, key[6:]) for key in record if key.startswith("times_") and key != reference]
    if "engine_of_step" in record:
        whole, steps = record["engine_of_step"], record["engine_of_step_without_parts"]
        parts = record["programs"]["engine"]["parts"]
        taken = record["programs"]["engine"]["seconds_per_step"]["median"]
        shares = ", ".join(f"{name} {seconds / taken:.1%}" for name, seconds in parts.items())
        lines.append(
            f"the engine keeps {whole['median']:.3f} ({whole['low']:.3f} to {whole['high']:.3f}) of the step's rate; "
            f"{steps['median']:.3f} but for: {shares}"
        )
    return "\n".join(lines)


def _against(record: Mapping[str, Any], name: str) -> str:
    """'the engine is 3.21 (3.10 to 3.33) times pythae, the step 3.3 (...), the bare loop 1.1 (...)'."""
    times = record["times_" + name]

    def told(label: str) -> str:
        return f"{times[label]['median']:.2f} ({times[label]['low']:.2f} to {times[label]['high']:.2f})"

    return f"times {name}: engine {told('engine')}, step {told('step')}, bare loop {told('bare')}"


if __name__ == "__main__":
    main()
