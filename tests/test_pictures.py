"""Pictures are written by a thread of their own, whose errors and whose end are the run's."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import pictures_of

from vae_runner.callbacks import Callback, Writer, pictures
from vae_runner.engine import Engine, Interrupted
from vae_runner.errors import RunError
from vae_runner.files import read_json
from vae_runner.randomness import isolated
from vae_runner.state import Y_PRED, Y_RAW, Y_TRUE, X, state_key
from vae_runner.visualisation.association import followed
from vae_runner.visualisation.walking import walker

Make = Callable[..., Engine]


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "writer" in thread.name]


def test_jobs_are_done_in_their_order_by_another_thread_that_ends() -> None:
    writer, done = Writer(), []
    for number in range(20):
        writer.submit(lambda number=number: done.append((number, threading.current_thread())))
    writer.flush()
    assert [number for number, _ in done] == list(range(20))
    assert threading.main_thread() not in {thread for _, thread in done}
    assert writers() == []
    writer.submit(lambda: done.append("again"))  # a new thread
    writer.flush()
    assert done[-1] == "again"


def test_who_gives_a_job_does_not_wait_for_it_but_for_a_full_queue() -> None:
    writer, go, third = Writer(waiting=2), threading.Event(), threading.Event()

    def give() -> None:
        writer.submit(lambda: None)
        third.set()

    writer.submit(go.wait)
    writer.submit(lambda: None)  # at once
    giver = threading.Thread(target=give)
    giver.start()
    assert not third.wait(0.1)
    go.set()
    assert third.wait(60)
    giver.join()
    writer.flush()


def test_an_error_ends_the_jobs_behind_it_and_is_raised_once() -> None:
    writer, go, done = Writer(), threading.Event(), []

    def fail() -> None:
        go.wait()
        raise RunError("no space left on /data writing a.png")

    writer.submit(fail)
    writer.submit(lambda: done.append(1))
    go.set()
    with pytest.raises(RunError, match="no space left"):
        writer.flush()
    assert done == []
    writer.check()
    writer.flush()


def test_an_error_never_leaves_the_giver_waiting() -> None:
    writer, go = Writer(waiting=1), threading.Event()

    def fail() -> None:
        go.wait()
        raise RunError("full")

    writer.submit(fail)
    threading.Timer(0.05, go.set).start()
    writer.submit(lambda: None)
    with pytest.raises(RunError, match="full"):
        writer.flush()


def test_close_only_logs(caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer()
    writer.submit(lambda: 1 / 0)
    writer.close()
    assert "division by zero" in caplog.text


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise RunError(f"no space left on {path.parent} writing {path.name}")

    monkeypatch.setattr(pictures, "write_atomically", refuse)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_ends_the_run_at_the_next_step_or_before_the_checkpoint(experiment: Make, tmp_path: Path) -> None:
    overrides = ("engine.picture_every=4", "engine.checkpoint_every=4", "visualisation=[data]")
    engine = experiment(*overrides, folder=tmp_path)
    with pytest.raises(RunError, match=r"no space left on .*grids/history writing data-0000004\.png"):
        engine.run()
    assert not (tmp_path / "checkpoints/last.pt").exists()  # it would claim step 4
    assert writers() == []
    engine = experiment("engine.picture_every=4", "visualisation=[data]", folder=tmp_path / "later")
    with pytest.raises(RunError, match="no space left"):
        engine.run()
    assert engine.step < 12


def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    real = pictures.write_atomically

    def write(path: Path, data: bytes) -> None:
        time.sleep(0.02)
        real(path, data)

    monkeypatch.setattr(pictures, "write_atomically", write)


@pytest.mark.slow
def test_a_checkpoint_finds_the_pictures_of_its_step(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch)
    seen = []

    class Look(Callback):
        def state_dict(self) -> dict:
            if engine.step % 4 == 0 and engine.step:
                seen.append((engine.step, (tmp_path / f"grids/history/data-{engine.step:07d}.png").exists()))
            return {}

    overrides = ("engine.picture_every=4", "engine.checkpoint_every=4", "visualisation=[data]")
    engine = experiment(*overrides, folder=tmp_path)
    engine.callbacks.append(Look())
    engine.run()
    assert {4, 8, 12} <= {step for step, _ in seen}
    assert all(there for step, there in seen if step != 12)  # at 12 the best one comes before the pictures
    assert seen[-1] == (12, True)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["end", "interrupt", "failure"])
def test_no_thread_and_no_half_written_picture_survives_a_run(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    slow(monkeypatch)
    engine = experiment("engine.picture_every=5", "visualisation=[data,kl,samples]", folder=tmp_path)

    class End(Callback):
        def on_step_end(self, engine: Engine, state: dict) -> None:
            if engine.step == 5 and ending == "failure":
                raise RunError("something else")

    engine.callbacks.append(End())
    if ending == "interrupt":
        engine.stop_signal = lambda: 15 if engine.step == 5 else None
    try:
        engine.run()
    except (RunError, Interrupted):
        for callback in engine.callbacks:
            callback.close()
    assert writers() == []
    step = 12 if ending == "end" else 5
    assert read_json(tmp_path / "grids/samples.json")["step"] == step
    assert not list((tmp_path / "grids").rglob("*.tmp"))


def test_the_report_shows_the_pictures_of_its_step(experiment: Make, tmp_path: Path) -> None:
    engine = experiment("engine.picture_every=6", "engine.checkpoint_every=100", folder=tmp_path)
    for callback in engine.callbacks:
        callback.on_start(engine)
    engine.step = 6
    for callback in engine.callbacks[engine.callbacks.index(pictures_of(engine)) :]:
        callback.on_step_end(engine, {})
    pictures_of(engine).writer.flush()
    assert "traversal" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "grids/traversal.png").stat().st_mtime_ns <= (tmp_path / "report.html").stat().st_mtime_ns


@pytest.mark.slow
def test_the_schedule_is_drawn_before_the_first_step(experiment: Make, tmp_path: Path) -> None:
    engine = experiment("divergence=capacity", "divergence.capacity.steps=8", "lr_schedule=linear", folder=tmp_path)

    class First(Callback):
        def on_step(self, engine: Engine, state: dict) -> None:
            pictures_of(engine).writer.flush()
            assert (tmp_path / "grids/schedule.png").exists()

    engine.callbacks.append(First())
    engine.run()
    details = read_json(tmp_path / "grids/schedule.json")
    assert details["step"] == 0
    assert details["steps"] == list(range(12))
    assert details["schedules"]["capacity"] == pytest.approx([25 * min(t / 8, 1) for t in range(12)])
    assert details["schedules"]["lr"] == pytest.approx([3e-3 * (1 - t / 12) for t in range(12)])
    svg = (tmp_path / "grids/schedule.svg").read_text()
    assert "capacity C, nats" in svg
    assert not list((tmp_path / "grids/history").glob("schedule*"))


@pytest.mark.slow
def test_pictures_of_every_kind_leave_the_training_as_it_was(experiment: Make, tmp_path: Path) -> None:
    names = "visualisation=[data,reconstruction,traversal,linspace,samples,kl,scatter,schedule,curves,animation,path]"
    watched = experiment(names, "engine.picture_every=2", "visualisation.traversal.walk=posterior", folder=tmp_path)
    alone = experiment("visualisation=[]")
    watched.run()
    alone.run()
    theirs = alone.objective.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in watched.objective.state_dict().items())


def test_images_are_decoded_for_who_asks_and_are_those_of_the_models_forward_pass(experiment: Make) -> None:
    engine = experiment()
    model, decode, calls = engine.objective.model.eval(), engine.objective.model.decode, []
    model.decode = lambda *given: calls.append(given) or decode(*given)
    with torch.no_grad():
        state = pictures.picture_state(model, engine.validation, 0, engine.device)
        assert calls == []
        with isolated(0):
            expected: dict = {}
            model(state[X], expected)
        assert len(calls) == 1
        assert Y_RAW in state
        assert torch.equal(state.get(Y_PRED), expected[Y_PRED])
        assert torch.equal(state[Y_RAW], expected[Y_RAW])
        assert state[Y_TRUE] is state[X]
    assert len(calls) == 2
    assert state_key("unknown") not in state
    assert state.get(state_key("unknown"), 5) == 5
    with pytest.raises(KeyError):
        state[state_key("unknown")]


def test_what_latents_follow_is_found_out_once_for_all_pictures_of_a_split(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []
    monkeypatch.setattr(walker, "followed", lambda *given: searched.append(given) or followed(*given))
    engine = experiment("visualisation=[traversal,kl,scatter,animation]", folder=tmp_path)
    pictures_of(engine).write(engine)
    assert len(searched) == 1
    pictures_of(engine).write(engine)  # of other weights, as far as anybody knows
    assert len(searched) == 2
