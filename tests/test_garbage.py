"""The search for garbage rests while a program starts, and is the user's own again afterwards."""

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from vae_runner.cli import run
from vae_runner.cli.process.garbage import garbage_search_put_off


class Node:
    """Garbage that only a search finds, once nothing else holds it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_it_rests_until_it_is_woken_and_then_leaves_the_start_alone() -> None:
    with garbage_search_put_off() as wake:
        assert not gc.isenabled()
        early = Node()
        seen = weakref.ref(early)
        wake()
        assert gc.isenabled()
        late = Node()
        unseen = weakref.ref(late)
        del early, late
        gc.collect()
        assert unseen() is None
        assert seen() is not None
    gc.collect()
    assert seen() is None
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("enabled", [True, False])
def test_afterwards_it_is_as_it_was_however_the_block_ended(enabled: bool) -> None:
    if not enabled:
        gc.disable()

    def start(woken: bool) -> None:
        with garbage_search_put_off() as wake:
            if woken:
                wake()
                assert gc.isenabled() == enabled
            raise KeyError

    for woken in (True, False):
        with pytest.raises(KeyError):
            start(woken)
        assert gc.isenabled() == enabled
    gc.freeze()
    kept = gc.get_freeze_count()
    with garbage_search_put_off() as wake:
        wake()
    assert gc.get_freeze_count() >= kept > 0


def test_the_front_door_gives_it_back(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["vae-train"])
    assert run(["engine.stepz=3"]) == 2
    assert "stepz" in capsys.readouterr().err
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
