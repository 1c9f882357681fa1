"""The bench: what it says is what it measured, and what it compares does the same work."""

import argparse
import contextlib
import importlib.util
import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import OWN_CONFIGS, pictures_of

from vae_runner.bench import programs, rounds
from vae_runner.bench.__main__ import _on, _record, _table, main
from vae_runner.bench.gpu import STEPS, covered, use
from vae_runner.bench.peers import Pythae
from vae_runner.bench.programs import PROGRAMS, Bare
from vae_runner.bench.rounds import Spread, Timing, take_turns
from vae_runner.bench.worker import config_of
from vae_runner.callbacks import pictures
from vae_runner.errors import RunError, UserError
from vae_runner.state import LOSS

TOY = (
    "dataset=toy",
    "divergence=kl",
    "engine.batch_size=16",
    "engine.threads=1",
    "engine.device=cpu",
    "engine.precision=fp32",
    "visualisation=[data]",
)


def toy(*settings: str) -> dict[str, object]:
    chosen = {setting.partition("=")[0] for setting in settings}
    return config_of([OWN_CONFIGS, *(part for part in TOY if part.partition("=")[0] not in chosen), *settings])


def test_quartiles_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).random(9).tolist()
    spread = Spread.of(values)
    assert [spread.low, spread.median, spread.high] == pytest.approx(np.percentile(values, [25, 50, 75]).tolist())


def test_a_step_takes_what_the_parts_took_in_its_own_process() -> None:
    timing = Timing()
    timing.add([1.0, 2.0], {"validate": 0.5, "picture": 0.25}, first_step=4.0, peak_memory=7)
    timing.add([3.0], {"validate": 1.5, "picture": 0.75}, first_step=5.0, peak_memory=6)
    assert timing.steps == [1.0, 2.0, 3.0]
    assert timing.seconds == [1.75, 2.75, 5.25]
    assert timing.parts == {"validate": 1.0, "picture": 0.5}
    assert (timing.first_step, timing.peak_memory) == (4.5, 7)


def test_a_gpu_is_busy_while_any_of_its_streams_is() -> None:
    assert covered([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.5, 2.5), (3.0, 4.0)]) == 5
    assert covered([]) == 0
    assert use(lambda steps: None, torch.device("cpu")) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_is_as_busy_as_what_it_is_given() -> None:
    device, given = torch.device("cuda"), torch.randn(4096, 4096, device="cuda")
    begun, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def steps(count: int) -> None:
        begun.record()
        for _ in range(count):
            given @ given
        ended.record()
        torch.cuda.synchronize(device)

    steps(3)
    used = use(steps, device)
    assert used.busy == pytest.approx(begun.elapsed_time(ended) / 1e3 / STEPS, rel=0.2)
    assert used.memory >= 2 * given.numel() * 4


def test_the_device_is_the_one_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    config = toy()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # a machine with a GPU that is left alone
    timing = Timing()
    timing.add([1.0, 2.0], {}, first_step=4.0, peak_memory=7)
    options = argparse.Namespace(settings=[], threads=1, rounds=2, starts=1, against=None)
    assert _record({"bare": timing, "step": timing}, config, options)["machine"]["device"] == "cpu"


def test_what_a_gpu_does_is_told_for_each_program() -> None:
    timings = {name: Timing() for name in ("bare", "step")}
    for name, busy in (("bare", 0.25), ("step", 1.6)):
        gpu = {"busy": busy, "memory": 3_000_000_000}
        timings[name].add([1.0, 2.0, 3.0], {}, first_step=1.0, peak_memory=1, gpu=gpu)
    options = argparse.Namespace(settings=[], threads=1, rounds=3, starts=1, against=None)
    record = _record(timings, toy(), options)
    assert [record["programs"][name]["gpu_busy"] for name in timings] == [0.125, 0.8]
    heading, *lines = _table(record).splitlines()
    assert heading.endswith("GPU busy  its memory")
    assert [line.split()[-3:] for line in lines] == [["12%", "3.00", "GB"], ["80%", "3.00", "GB"]]


def test_turns_alternate_and_are_shared_out_over_the_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    class Worker:
        first_step = 1.0

        def __init__(self, label: str) -> None:
            self.label = label

        def steps_in(self, seconds: float) -> int:
            return 2

        def ask(self, wish: object) -> dict[str, Any]:
            asked[-1].append(self.label)
            return {"parts": {}, "peak_memory": 1, "gpu": None} if wish == "rest" else {"seconds": 2.0 * wish}

    @contextlib.contextmanager
    def started(label: str, arguments: object) -> Iterator[Worker]:
        if label == "a":
            asked.append([])
        yield Worker(label)

    class Bar(contextlib.nullcontext):
        n = 0

        def __init__(self, total: int, **settings: object) -> None:
            super().__init__(self)
            self.total = total
            bars.append(self)

        def set_description(self, text: str) -> None:
            told.append(text)

        def update(self) -> None:
            self.n += 1

    bars: list[Bar] = []
    told: list[str] = []
    monkeypatch.setattr(rounds, "tqdm", Bar)
    monkeypatch.setattr(rounds, "_worker", started)
    timings = take_turns({"a": [], "b": []}, rounds=5, seconds=1, starts=3)
    assert asked == [["a", "b"] * 2, ["a", "b"] * 3, ["a", "b"] * 3]  # the last of each are the rest
    assert [(bar.n, bar.total) for bar in bars] == [(16, 16)]  # 2 x 5 turns, and 2 x 3 starts
    assert told == ["start 1 of 3", "start 2 of 3", "start 3 of 3"]
    assert {label: timing.steps for label, timing in timings.items()} == {"a": [2.0] * 5, "b": [2.0] * 5}


def test_the_bare_loop_minimises_what_the_engine_does() -> None:
    bare = Bare(toy())
    x = next(bare.batches)
    torch.manual_seed(0)
    expected = bare.engine.objective(x, x)[LOSS]
    torch.manual_seed(0)
    assert bare.loss(x).item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_bare_loop_has_none_of_what_makes_the_step_fast() -> None:
    bare = Bare(toy("engine.precision=bf16", "engine.compile=true"))
    assert (bare.engine.precision, bare.engine.compiled) == ("fp32", False)
    assert bare.optimizer.defaults["fused"] is None
    assert not any(type(module).__name__.startswith("_F") for module in bare.model.modules())


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_makes_the_steps_that_it_is_asked_for(name: str) -> None:
    program = PROGRAMS[name](toy())
    before = [weights.detach().clone() for weights in program.engine.objective.parameters()]
    program.steps(3)
    moments = [state["step"].item() for state in program.optimizer.state.values()] if name == "bare" else [3.0]
    assert set(moments) == {3.0}
    moved = zip(before, program.engine.objective.parameters(), strict=True)
    assert not any(torch.equal(old, new) for old, new in moved)
    program.close()


def test_the_engine_s_parts_are_timed_apart_and_shared_out() -> None:
    program = PROGRAMS["engine"](toy("engine.validate_every=10", "engine.picture_every=20"))
    program.steps(2)
    parts = program.parts()
    assert set(parts) == {"validate", "picture", "checkpoint"}
    assert all(seconds > 0 for seconds in parts.values())
    program.close()


@pytest.mark.slow
def test_what_the_writer_does_for_pictures_counts_as_if_the_training_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    program = PROGRAMS["engine"](toy("engine.picture_every=20", "visualisation=[samples,kl,scatter]"))
    program.steps(2)
    log: list[str] = []

    def taking(seconds: float, name: str) -> Callable[..., Any]:
        return lambda *given: time.sleep(seconds) or log.append(name)

    for picture in pictures_of(program.engine).walkers.values():
        take = picture.drawings
        monkeypatch.setattr(picture, "drawings", lambda scene, take=take: taking(0.1, "taken")() or take(scene))
    monkeypatch.setattr(pictures, "write_drawing", taking(0.1, "drawn"))
    monkeypatch.setattr(programs, "write_report", taking(0.2, "report"))
    seconds = 20 * program.parts()["picture"]
    assert log == [*["taken"] * 3, *["drawn"] * 3, "report"] * 2  # once to warm up
    assert seconds > 0.8
    program.close()


@pytest.mark.slow
def test_a_table_and_a_line_of_json(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*TOY, OWN_CONFIGS, "--rounds=3", "--starts=1", "--seconds=0.05"])
    out = capfd.readouterr().out
    assert exit_.value.code == 0, out
    record = json.loads(out.splitlines()[-1])
    assert set(record["programs"]) == {"bare", "step", "engine"}
    for figures in record["programs"].values():
        rate = figures["images_per_second"]
        assert 0 < rate["low"] <= rate["median"] <= rate["high"]
        assert rate["median"] == pytest.approx(16 / figures["seconds_per_step"]["median"], rel=1e-6)
        assert 1e8 < figures["peak_memory_bytes"] < 1e11
        assert 0 < figures["first_step_seconds"] < 600
    assert (record["rounds"], record["starts"]) == (3, 1)
    assert "the engine keeps" in out
    assert record["machine"]["processor"] in out.splitlines()[1]
    assert re.search(r"; about \d+ s$", out.splitlines()[1])


@pytest.mark.slow
def test_a_mistake_gets_its_line_before_anything_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["engine.batch_sise=3"])
    assert exit_.value.code == 2
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "vae-bench: error: no setting called 'engine.batch_sise'. Did you mean engine.batch_size?"
    ]


def test_more_threads_than_cores_get_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--threads=5000"])
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("vae-bench: error: engine.threads=5000: this process may use ")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        *((option, "--rounds 2 or more") for option in ("--threads=0", "--rounds=1", "--seconds=0")),
        *((option, "--starts from 1 to as many") for option in ("--starts=0", "--starts=9")),
    ],
)
def test_options_out_of_range_are_refused(option: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([option])
    assert exit_.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("features", "device", "words"),
    [
        (["avx2"], "cpu", "on X (avx2: no bf16), 2 cores, torch 2"),
        (["avx2", "avx512_f", "avx512_bf16"], "cpu",
         "on X (avx2, avx512_f, avx512_bf16: dot products of bf16), 2 cores, torch 2"),
        (["avx2", "amx_bf16"], "a GPU", "on a GPU, X (avx2, amx_bf16: a matrix unit for bf16), 2 cores, torch 2"),
        ([], "cpu", "on X (no vector features known), 2 cores, torch 2"),
    ],
)  # fmt: skip
def test_what_the_processor_can_do_is_said(features: list[str], device: str, words: str) -> None:
    assert _on({"processor": "X", "features": features, "device": device, "cores": 2, "torch": "2"}) == words


@pytest.mark.slow
def test_a_program_that_fails_is_told() -> None:
    with pytest.raises(RunError, match=r"step: .*no setting called 'nonsense'"):
        take_turns({"step": ["step", "nonsense=1"]}, 2, 0.1)


def test_config_of_tells_all_mistakes() -> None:
    with pytest.raises(UserError) as error:
        config_of(["dataset=dspritez", "engine.steps=-1"])
    assert len(str(error.value).splitlines()) == 2


def test_help_comes_without_torch() -> None:
    code = (
        "import sys\nfrom vae_runner.bench.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.skipif(importlib.util.find_spec("pythae") is None, reason="needs pythae")
def test_pythae_trains_the_same_net_by_the_same_loss() -> None:
    program = Pythae(toy("distribution=normal", "architecture=mlp"))
    try:
        x = program.engine.train.batch(torch.arange(16))
        torch.manual_seed(0)
        ours = program.loss(x)
        torch.manual_seed(0)
        theirs = program.trainer.model({"data": x}).loss
        assert theirs.item() == pytest.approx(ours.item(), rel=1e-5)
        assert {id(one) for one in program.trainer.model.parameters()} == {
            id(one) for one in program.model.parameters()
        }
        before = next(program.model.parameters()).clone()
        program.steps(2)
        assert program.trainer.optimizer.state[next(program.model.parameters())]["step"] == 2
        assert not torch.equal(next(program.model.parameters()), before)
        program.steps(15)  # past the end of the data
    finally:
        program.close()


@pytest.mark.skipif(importlib.util.find_spec("pythae") is None, reason="needs pythae")
@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("likelihood=laplace", "--against pythae: give likelihood=bernoulli; it has no other one in common with us"),
        ("distribution=gamma", "--against pythae: give distribution=normal, which is all that its VAE has"),
    ],
)
def test_what_pythae_does_not_have_is_told_in_one_line(setting: str, line: str) -> None:
    with pytest.raises(UserError, match=re.escape(line)):
        Pythae(toy("architecture=mlp", setting))


def test_a_peer_that_is_missing_names_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        main(["--against", "pythae"])
    told = "vae-bench: error: --against pythae: it is not installed; pip install 'vae_runner[pythae]'\n"
    assert (stopped.value.code, capsys.readouterr().err) == (2, told)
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["pythae"] == ["pythae>=0.1.2"]


def test_a_peer_stands_in_the_table_with_what_we_are_of_it() -> None:
    options = argparse.Namespace(settings=[], threads=1, rounds=2, starts=1, against="pythae")
    timings = {name: Timing() for name in ("bare", "pythae", "step", "engine")}
    for name, taken in (("bare", 4.0), ("pythae", 6.0), ("step", 2.0), ("engine", 3.0)):
        timings[name].add([taken, taken], {}, first_step=1.0, peak_memory=1)
    record = _record(timings, config_of(["engine.device=cpu"]), options)
    assert [record["times_pythae"][name]["median"] for name in ("bare", "step", "engine")] == [1.5, 3.0, 2.0]
    told = "times pythae: engine 2.00 (2.00 to 2.00), step 3.00 (3.00 to 3.00), bare loop 1.50 (1.50 to 1.50)"
    assert told in _table(record).splitlines()
