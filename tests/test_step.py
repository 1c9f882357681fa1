"""The fast step is the plain step: same parameters, same figures; compiled where that works, and plain where not."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from samples import sampled
from torch import Tensor

from vae_runner.engine import Engine
from vae_runner.engine.machine import compilation
from vae_runner.engine.machine.allocator import keep_freed_memory
from vae_runner.engine.step import suits_channels_last
from vae_runner.state import LOSS, Y_TRUE, X

Experiment = Callable[..., Engine]
PLAIN = (
    "engine.compile=false",
    "engine.channels_last=false",
    "engine.fast_convolutions=false",
    "optimizer.fused=false",
    "engine.threads=1",
)
FAST = ("engine.compile=false", "engine.threads=1")


@pytest.fixture
def graphs_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile with everything but the making of kernels, which takes seconds each."""
    from torch._inductor import config

    whole = torch.compile
    backend = "aot_eager_decomp_partition"
    monkeypatch.setattr(torch, "compile", lambda module, **_: whole(module, backend=backend, dynamic=False))
    with config.patch(fallback_random=True):  # as compilation.py asks for
        yield
    torch.compiler.reset()


def losses(engine: Engine) -> list[float]:
    engine.prepare()
    return [engine.train_step()[LOSS].item() for _ in range(engine.total_steps)]


def all_weights(engine: Engine) -> Tensor:
    return torch.cat([weights.detach().flatten() for weights in engine.objective.parameters()])


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["conv", "conv_higgins", "resnet", "mlp", "broadcast"])
def test_in_fp32_each_step_is_within_1e_5_of_the_plain_one(experiment: Experiment, architecture: str) -> None:
    # Adam's first steps go by the signs of gradients, whose rounding differs: the rate decides how far they part.
    arguments = (f"architecture={architecture}", "engine.steps=6", "engine.precision=fp32", "optimizer.lr=5e-4")
    plain, fast = experiment(*arguments, *PLAIN), experiment(*arguments, *FAST)
    assert losses(fast) == pytest.approx(losses(plain), rel=1e-5)
    for ours, theirs in zip(fast.objective.parameters(), plain.objective.parameters(), strict=True):
        assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


@pytest.mark.parametrize("corruption", ["none", "masking"])
def test_images_in_colour_are_laid_out_once_where_they_are_their_own_target(
    experiment: Experiment, corruption: str
) -> None:
    engine = experiment("dataset.channels=3", f"corruption={corruption}", *FAST)
    engine.prepare()
    state = engine.train_step()
    assert state[X].is_contiguous(memory_format=torch.channels_last)
    assert state[Y_TRUE].is_contiguous(memory_format=torch.channels_last)
    assert (state[X] is state[Y_TRUE]) == torch.equal(state[X], state[Y_TRUE]) == (corruption == "none")


@pytest.mark.parametrize(("device", "channels", "suits"), [("cpu", 1, True), ("cuda", 1, False), ("cuda", 3, True)])
def test_gray_images_keep_their_rows_together_on_a_gpu(
    experiment: Experiment, device: str, channels: int, suits: bool
) -> None:
    engine = experiment(f"dataset.channels={channels}", "architecture=conv")
    assert suits_channels_last(engine.objective, torch.device(device)) is suits


def test_fast_and_plain_checkpoints_are_the_same_thing(experiment: Experiment) -> None:
    plain, fast = experiment("optimizer.lr=5e-4", *PLAIN), experiment("optimizer.lr=5e-4", *FAST)
    losses(fast)
    plain.load_state_dict(fast.state_dict())  # weights, and sums of the optimiser that lie otherwise in memory
    fast.train_step(), plain.train_step()
    ours, theirs = (
        torch.cat([part.detach().flatten() for part in engine.objective.parameters()]) for engine in (fast, plain)
    )
    assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


def test_the_fast_step_is_the_one_that_is_used(experiment: Experiment) -> None:
    kinds = {type(module).__name__ for module in experiment(*FAST).objective.modules()}
    assert {"_HalvingConv2d", "_DoublingConvTranspose2d", "_Linear", "_Chain"} <= kinds
    plain = experiment(*PLAIN)
    assert not any(type(module).__name__.startswith("_") for module in plain.objective.modules())
    assert all(weight.is_contiguous() for weight in plain.objective.parameters())


@pytest.mark.slow
def test_a_compiled_step_draws_the_same_noise(experiment: Experiment, graphs_alone: None) -> None:
    compiled = experiment("engine.compile=true", "engine.threads=1")
    assert losses(compiled) == pytest.approx(losses(experiment(*FAST)), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "choice",
    sampled(
        [
            *(f"distribution={name}" for name in ("laplace", "exponential", "weibull", "gamma", "uniform", "mixed")),
            *("divergence=capacity", "divergence=kl", "architecture=resnet", "architecture=mlp"),
            "architecture=broadcast",
            *(f"likelihood={name}" for name in ("gaussian", "gaussian_learned", "gaussian_optimal", "laplace")),
            "likelihood=discretized_logistic",
            "architecture/decoder=linear",
        ],
        *("distribution=mixed", "architecture=resnet"),
    ),
)
def test_every_kind_of_part_can_be_compiled(
    experiment: Experiment, graphs_alone: None, choice: str, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = (choice, "engine.steps=3", "engine.threads=1")
    with caplog.at_level(logging.INFO):
        compiled = losses(experiment(*arguments, "engine.compile=true"))
    assert "going on without" not in caplog.text
    assert compiled == pytest.approx(losses(experiment(*arguments, *FAST)), rel=1e-5)


def test_where_it_cannot_be_compiled_the_run_goes_on_and_is_the_plain_one(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object, **__: object) -> None:
        torch.randn(3)  # it had begun
        raise RuntimeError("no compiler\nand many more lines")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fails)
    with caplog.at_level(logging.INFO):
        found = losses(experiment("engine.compile=true", "engine.threads=1"))
    assert found == losses(experiment(*FAST))
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["the step cannot be compiled, going on without: RuntimeError: no compiler"]


def test_what_fails_where_a_gpu_records_the_step_is_no_end_of_the_run(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def recording(module: torch.nn.Module, **_: object) -> Callable[..., object]:
        uses = iter(range(9))

        def compiled(*images: Tensor) -> object:
            if next(uses) == 1:
                torch.randn(3)  # it had begun
                raise RuntimeError("operation not permitted when stream is capturing")
            return module(*images)

        return compiled

    monkeypatch.setattr(torch, "compile", recording)
    monkeypatch.setitem(compilation.USES, "cpu", compilation.USES["cuda"])
    with caplog.at_level(logging.WARNING):
        found = losses(experiment("engine.compile=true", "engine.threads=1"))
    assert found == losses(experiment(*FAST))
    assert caplog.text.count("going on without: RuntimeError: operation not permitted") == 1


def test_what_torch_warns_itself_of_while_it_compiles_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*_: object) -> None:
        for module in ("torch._inductor.lowering", "mine"):
            warnings.warn_explicit("soon gone", FutureWarning, f"{module}.py", 1, module=module)

    monkeypatch.setattr(torch, "compile", lambda *_, **__: compiled)
    with pytest.warns(FutureWarning) as seen:
        compilation.Compiled(torch.nn.Tanh(), torch.device("cpu"))(lambda forward: forward())
    assert [warning.filename for warning in seen] == ["mine.py"]


@pytest.mark.slow
def test_another_number_of_threads_needs_no_other_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    before, made = torch.get_num_threads(), []
    compiled = compilation.Compiled(torch.nn.Tanh(), torch.device("cpu"))
    torch._dynamo.reset()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            compiled(lambda forward: forward(torch.ones(300, 300)))
            made.append(torch._dynamo.utils.counters["inductor"]["fxgraph_cache_miss"])
    finally:
        torch.set_num_threads(before)
    assert torch._dynamo.utils.counters["inductor"]["fxgraph_cache_hit"] == 1
    assert made[1] == made[0] > 0


@pytest.mark.slow
def test_every_job_of_a_long_sweep_is_compiled(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, compiled = torch.compile, []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda module, **_: whole(module, backend=backend, dynamic=False))
    try:
        for beta in range(1, 11):  # a constant of the graph
            arguments = (f"divergence.beta={beta}", "architecture=mlp", "engine.steps=2")
            losses(experiment(*arguments, "engine.compile=true", "engine.threads=1"))
    finally:
        torch.compiler.reset()
    assert len(compiled) == 10


@pytest.mark.slow
def test_auto_compiles_long_runs_where_there_is_a_compiler(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation.shutil, "which", lambda _: "/usr/bin/c++")
    assert not experiment("engine.steps=19_999").compiled
    assert experiment("engine.steps=20_000").compiled
    assert not experiment("engine.steps=20_000", "engine.compile=false").compiled
    assert not experiment("engine.steps=20_000", "architecture=resnet").compiled  # its norms are faster as they are
    monkeypatch.setattr(compilation.shutil, "which", lambda _: None)
    assert not experiment("engine.steps=20_000").compiled
    assert experiment("engine.compile=true").compiled  # who asks for it is told that it fails


@pytest.mark.slow
def test_a_resumed_run_keeps_threads_and_compilation(experiment: Experiment) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first = experiment()
        first.thread_choice.count, first.compiled = 2, True
        again = experiment()
        again.load_state_dict(first.state_dict())
        assert (again.threads, again.compiled) == (2, True)
        torch.set_num_threads(1)  # of another machine, which has fewer
        fewer = experiment("engine.compile=false")
        fewer.load_state_dict(first.state_dict())
        assert (fewer.threads, fewer.compiled) == (None, False)
    finally:
        torch.set_num_threads(before)


def test_on_another_device_a_resumed_run_chooses_anew_whether_to_compile(experiment: Experiment) -> None:
    first = experiment()
    first.compiled = True
    again = experiment()
    again.load_state_dict({**first.state_dict(), "device": "cuda"})
    assert not again.compiled


def test_freed_memory_is_kept_where_there_is_a_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keep_freed_memory() == Path("/lib64/ld-linux-x86-64.so.2").exists() or not Path("/lib64").exists()
    monkeypatch.setattr("sys.platform", "darwin")
    assert keep_freed_memory() is False


@pytest.mark.slow
def test_a_compiled_step_is_within_1e_5_of_the_plain_one(experiment: Experiment, tmp_path: Path) -> None:
    arguments = ("engine.precision=fp32", "engine.steps=6")
    compiled = losses(experiment(*arguments, "engine.compile=true", "engine.threads=1"))
    assert compiled == pytest.approx(losses(experiment(*arguments, *PLAIN)), rel=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.filterwarnings("ignore")  # what a compiler warns of is no reason to go on without it
@pytest.mark.parametrize("channels", [1, 3])
def test_on_a_gpu_the_compiled_step_is_a_graph_that_draws_new_noise(
    experiment: Experiment, caplog: pytest.LogCaptureFixture, channels: int
) -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    arguments = ("engine.device=cuda", "engine.precision=fp32", "engine.steps=8", f"dataset.channels={channels}")
    compiled = losses(experiment(*arguments, "engine.compile=true"))
    plain = losses(experiment(*arguments, "engine.compile=false"))
    assert compiled == pytest.approx(plain, rel=1e-3)
    assert "going on without" not in caplog.text
    assert counters["inductor"]["cudagraph_skips"] == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_a_compiled_run_records_what_the_plain_one_does(experiment: Experiment, tmp_path: Path) -> None:
    settings = ("engine.device=cuda", "engine.log_every=3", "engine.validate_every=5", "engine.picture_every=4")
    found = []
    for compiles in ("true", "false"):  # what is kept of a step is not to be overwritten by the next one
        engine = experiment(*settings, f"engine.compile={compiles}", folder=tmp_path / compiles)
        engine.run()
        records = map(json.loads, (tmp_path / compiles / "metrics.jsonl").read_text().splitlines())
        found.append([record["loss"] for record in records])
    assert len(found[0]) > 6
    assert found[0] == pytest.approx(found[1], rel=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("compiles", ["true", "false"])
def test_on_a_gpu_nobody_waits_for_a_step(experiment: Experiment, compiles: str) -> None:
    engine = experiment("engine.device=cuda", "engine.clip_norm=5", f"engine.compile={compiles}")
    engine.prepare()
    for _ in range(3):  # kernels are compiled and recorded, the order of the epoch is made
        engine.train_step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            engine.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
