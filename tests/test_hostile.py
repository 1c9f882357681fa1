"""Files from strangers. Each payload would leave a mark if it ran: none does, and each is told in one line."""

import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from photos import write_photos

import vae_runner
from vae_runner import cli
from vae_runner.checkpoint import save_checkpoint
from vae_runner.cli import redraw, report
from vae_runner.datasets.sprites.dsprites_file import NPZ_NAME
from vae_runner.errors import UserError
from vae_runner.runs.ledger import Ledger, write_ledger

Capture = pytest.CaptureFixture[str]
Config = dict[str, Any]
SMALL = ["architecture=mlp", "dataset.image_size=16", "dataset.validation=4", "engine.steps=2", "engine.batch_size=4"]
SMALL += ["engine.device=cpu", "engine.precision=fp32", "visualisation=[data]", "engine.progress=false"]


class Trap:
    """Makes a file called `ran` in the current folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of which every part is the package's own."""
    base = tmp_path_factory.mktemp("trained")
    photos = write_photos(base / "photos", 16)
    run = base / "run"
    assert cli.run(["dataset=folder", f"dataset.root={photos}", *SMALL, f"hydra.run.dir={run}"]) == 0
    return run


@pytest.fixture
def run(trained: Path, inside: Path) -> Path:
    """A copy of it, in an empty folder."""
    shutil.copytree(trained, inside / "run")
    return inside / "run"


def refused(capfd: Capture, call: Callable[[list[str]], int], *arguments: str) -> str:
    """The one line that the command was refused with."""
    capfd.readouterr()
    code = call(list(arguments))
    errors = capfd.readouterr().err
    assert code == 2, errors
    assert errors.count("\n") == 1, errors
    assert not Path("ran").exists()
    return errors.partition("error: ")[2].strip()


@pytest.mark.slow
def test_an_honest_run_passes_every_door(run: Path, capfd: Capture) -> None:
    """Else nothing here would prove anything."""
    assert vae_runner.load(run).step == 2
    assert cli.run(["resume=run", "engine.steps=3"]) == 0
    assert redraw.run(["run", "visualisation=[data]"]) == 0
    assert report.run(["run"]) == 0


def test_the_trap_works(inside: Path) -> None:
    pickle.loads(pickle.dumps(Trap()))
    assert Path("ran").exists()


def node(path: str, value: Any) -> Callable[[Config], None]:
    """Puts the value where the dotted path says."""

    def change(config: Config) -> None:
        *parents, last = path.split(".")
        for name in parents:
            config = config.setdefault(name, {}) if isinstance(config, dict) else config[int(name)]
        config[last] = value

    return change


def target(name: str, **arguments: Any) -> Config:
    return {"_target_": name, **arguments}


CONFIGS = {
    "os.system": node("likelihood", target("os.system", command="touch ran")),
    "builtins.eval": node("likelihood", target("builtins.eval", _args_=["open('ran', 'w')"])),
    "subprocess.Popen": node("dataset", target("subprocess.Popen", args=["touch", "ran"])),
    "through our module": node("likelihood", target("vae_runner.files.os.system", command="touch ran")),
    "through a trusted module": node("likelihood", target("vae_runner.paths.os.system", command="touch ran")),
    "through torch.nn": node("likelihood", target("torch.nn.modules.module.warnings.warn", message="ran")),
    "torch.load": node("likelihood", target("torch.load", f="payload.pt", weights_only=False)),
    "torch.hub.load": node("likelihood", target("torch.hub.load", repo_or_dir="a/b", model="c")),
    "hydra's get_method": node("likelihood", target("hydra.utils.get_method", path="os.system")),
    "hydra's instantiate": node("likelihood", target("hydra.utils.instantiate", config=target("os.system"))),
    "the front door": node("likelihood", target("vae_runner.cli.main", arguments=["--help"])),
    "in a picture": node("visualisation.data", target("os.system", command="touch ran")),
    "in a picture's argument": node("visualisation.data.colours", target("os.system", command="touch ran")),
    "in a list": node("distribution.more", [1, [target("os.system", command="touch ran")]]),
    "in the prior": node("distribution.prior", target("os.system", command="touch ran")),
    "in the schedule": node("divergence.beta", target("os.system", command="touch ran")),
    "in the optimizer": node("optimizer", target("os.system", command="touch ran")),
    "as arguments": node("likelihood._args_", [target("os.system", command="touch ran")]),
    "a partial": node("likelihood._partial_", True),
    "not a name": node("likelihood._target_", ["os", "system"]),
    "an interpolation": node("dataset.root", "${oc.env:HOME}"),
    "a decoded one": node("seed", "${oc.decode:'[1]'}"),
    "one in a list": node("dataset.extensions", [".jpg", "${oc.env:HOME}"]),
    "one in a target": node("likelihood._target_", "${oc.env:PAYLOAD}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_config_that_names_what_it_has_no_business_to_is_refused_at_every_door(
    run: Path, change: Callable[[Config], None], capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYLOAD", "os.system")
    config = yaml.safe_load((run / "config.yaml").read_text())
    change(config)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    before = {path for path in run.rglob("*") if path.name not in (".lock", "train.log")}
    lines = [
        refused(capfd, cli.run, "resume=run", "engine.steps=4"),
        refused(capfd, redraw.run, "run", "visualisation=[data]"),
    ]
    with pytest.raises(UserError) as caught:
        vae_runner.load(run)
    assert not Path("ran").exists()
    assert {*lines, str(caught.value)} == {lines[0]}
    assert lines[0].startswith("run/config.yaml ")
    assert "trust=true" in lines[0]
    assert report.run(["run"]) == 0  # the page shows the config as text
    assert not Path("ran").exists()
    assert {path for path in run.rglob("*") if path.name not in (".lock", "train.log")} == before


YAMLS = {  # none of them is longer than a few lines
    "python/object/apply": "!!python/object/apply:os.system ['touch ran']\n",
    "python/object/new": "a: !!python/object/new:os.system ['touch ran']\n",
    "python/name": "a: !!python/name:os.system\n",
    "a document that is a list": "- 1\n",
    "no YAML": "{{{{\n",
    "a bomb of aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)),
    "no text": "\x00\x01\udcff",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", YAMLS.values(), ids=YAMLS.keys())
def test_a_config_that_is_more_than_plain_values_is_refused(run: Path, text: str, capfd: Capture) -> None:
    (run / "config.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert "config" in refused(capfd, cli.run, "resume=run", "engine.steps=4")
    assert "config" in refused(capfd, redraw.run, "run")
    with pytest.raises(UserError):
        vae_runner.load(run)
    assert report.run(["run"]) == 0
    assert not Path("ran").exists()


@pytest.mark.slow
def test_an_object_in_a_checkpoint_is_not_built(run: Path, capfd: Capture) -> None:
    for name in ("last", "previous", "best"):
        save_checkpoint(run / f"checkpoints/{name}.pt", {"step": 2, "config": Trap()})
    line = refused(capfd, cli.run, "resume=run", "engine.steps=4")
    assert line.endswith("last.pt holds more than numbers, texts and tensors, and is not read: no run wrote it")
    refused(capfd, redraw.run, "run", "visualisation=[data]")
    with pytest.raises(UserError, match=r"best\.pt holds more than"):
        vae_runner.load(run)
    torch.load(run / "checkpoints/last.pt", weights_only=False)
    assert Path("ran").exists()  # it was a real one


def test_an_object_in_the_dsprites_file_is_not_built(inside: Path, capfd: Capture) -> None:
    np.savez(inside / NPZ_NAME, imgs=np.array([Trap()], dtype=object), metadata=np.array([Trap()], dtype=object))
    arguments = ["dataset.source=file", "dataset.root=.", "dataset.cache_dir=cache"]
    assert "imgs.npy holds object (1,), expected uint8" in refused(capfd, cli.run, *arguments)
    assert not list(inside.glob("outputs"))


def test_an_object_in_a_photo_is_not_built(inside: Path, capfd: Capture) -> None:
    (inside / "photos").mkdir()
    for number in range(8):
        np.save(inside / f"photos/evil{number}.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    arguments = ["dataset=celeba_hq", "dataset.as_npy=true", "dataset.root=photos", *SMALL[:3]]
    assert "8 of 8 images cannot be read (first: evil0.npy)" in refused(
        capfd, cli.run, *arguments, "dataset.cache_dir=cache"
    )


@pytest.mark.slow
def test_members_of_a_zip_stay_in_it(inside: Path, capfd: Capture) -> None:
    """Names that lead out of the folder, or are those of no images, are names like any other, or left out."""
    photos = sorted(write_photos(inside / "photos", 8).iterdir())
    (inside / "deep/er").mkdir(parents=True)
    with zipfile.ZipFile(inside / "deep/er/evil.zip", "w") as packed:
        for number, file in enumerate(photos):
            packed.write(file, f"../../../ran/{number}.jpg" if number % 2 else f"/tmp/ran-{number}.jpg")
        packed.writestr("../ran", "x")
    before = {path for path in inside.rglob("*")}
    arguments = ["dataset=folder", "dataset.root=deep/er/evil.zip", "dataset.cache_dir=cache", *SMALL]
    assert cli.run(arguments) in (0, 2)
    left = {path.relative_to(inside).parts[0] for path in set(inside.rglob("*")) - before}
    assert left <= {"outputs", "cache"}
    assert not list(Path("/tmp").glob("ran-*.jpg"))


@pytest.mark.slow
def test_a_zip_bomb_is_not_inflated(inside: Path, capfd: Capture) -> None:
    with zipfile.ZipFile(inside / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(8):
            packed.writestr(f"{number}.png", bytes(100_000_000) if number == 3 else b"\x89PNG")
    line = refused(capfd, cli.run, "dataset=folder", "dataset.root=bomb.zip", "dataset.cache_dir=cache", *SMALL)
    assert "8 of 8 images cannot be read (first: 0.png)" in line
    assert not list(inside.rglob("*.jpg"))


@pytest.mark.parametrize("door", ["train", "resume", "load"])
def test_absurd_sizes_are_told_before_the_memory_is_taken(run: Path, door: str, capfd: Capture) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["architecture"]["encoder"]["hidden"] = [100_000] * 5
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    line = r"the model has 40,\d\d\d,\d\d\d,\d\d\d parameters, .* GB, and this machine .* GB of memory"
    if door == "load":
        with pytest.raises(UserError, match=line):
            vae_runner.load(run)
    else:
        root = f"dataset.root={config['dataset']['root']}"
        new = ["dataset=folder", root, *SMALL, f"architecture.encoder.hidden={[100_000] * 5}"]
        told = refused(capfd, cli.run, *(["resume=run", "engine.steps=4"] if door == "resume" else new))
        assert told.startswith("the model has ")
        assert "make distribution.dims or the architecture smaller" in told


EVIL = "<script>document.title='ran'</script><img src=x onerror=alert(1)>\"'&"


def test_markup_in_a_folder_is_text_on_the_page(run: Path, capfd: Capture) -> None:
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": EVIL, "reason": EVIL, "resume": EVIL}))
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 3, "split": EVIL, EVIL: 1, "loss": EVIL}) + "\n")
        file.write(json.dumps({"step": 3, "split": "train", EVIL: 1.0, "loss": EVIL, "kl_dims": [EVIL]}) + "\n")
    (run / "environment.json").write_text(json.dumps({"name": EVIL, "sessions": [{EVIL: EVIL}], "data": {EVIL: EVIL}}))
    write_ledger(run.parent, Ledger(EVIL, EVIL, [], [], [[f"{EVIL}={EVIL}"], [f"{EVIL}=2"]]))
    assert report.run(["run"]) == 0
    assert report.run(["."]) == 0
    for page in (run / "report.html", Path("sweep.html")):
        text = page.read_text()
        assert "&lt;script&gt;document.title" in text
        assert "<script>document.title" not in text
        assert "<img src=x" not in text


HYDRA = {
    "a folder of options": {"flags": ["--config-dir", "evil"]},
    "a callback": {"hydra": ["+hydra.callbacks.x._target_=os.system"]},
    "a callback in a job": {"jobs": [["+hydra.callbacks.x._target_=os.system"]]},
    "another folder": {"jobs": [["hydra.sweep.subdir=../../ran"]]},
    "the environment": {"hydra": ["++hydra.job.env_set.LD_PRELOAD=ran.so"]},
    "a target": {"jobs": [["likelihood._target_=os.system", "+likelihood.command='touch ran'"]]},
    "an interpolation": {"jobs": [["dataset.root='${oc.env:HOME}'"]]},
}


@pytest.mark.slow
@pytest.mark.parametrize("parts", HYDRA.values(), ids=HYDRA.keys())
def test_a_list_of_jobs_starts_nothing_but_known_parts(inside: Path, parts: dict[str, Any], capfd: Capture) -> None:
    (inside / "evil/dataset").mkdir(parents=True)
    (inside / "evil/dataset/dsprites.yaml").write_text("_target_: os.system\ncommand: touch ran\n")
    (inside / "old").mkdir()
    write_ledger(inside / "old", Ledger(**{"command": "x", "suffix": "ab", "jobs": [["seed=1"]], **parts}))
    line = refused(capfd, cli.run, "resume=old")
    assert line.startswith("old/sweep.json ")
    assert "trust=true" in line
    assert [path.name for path in (inside / "old").iterdir() if path.is_dir()] == []
