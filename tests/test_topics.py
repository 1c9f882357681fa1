"""`vae-train --help TOPIC`, and the names of other programs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf
from test_cli import Run, vae_train

from vae_runner import cli
from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.composing.composer import Composer, without_hydra
from vae_runner.cli.judging.hints import hint, option_hint
from vae_runner.cli.judging.judge import nodes
from vae_runner.cli.judging.other_names import CHOICES, OPTIONS, SETTINGS, SWITCHES, option_here, typed_here
from vae_runner.cli.precheck import precheck
from vae_runner.cli.screens.topics import topic_text
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import check
from vae_runner.paths import config_dir

__all__ = ["vae_train"]  # a fixture
CONF = config_dir()
GROUPS = sorted({file.parent.relative_to(CONF).as_posix() for file in CONF.rglob("*.yaml")} - {"."})
Compose = Callable[..., DictConfig]


def leaves(node: Any, key: str = "") -> dict[str, Any]:
    """The values of a config by their dotted names, but for what a node builds."""
    if not isinstance(node, dict) or not node:
        return {key: node}
    inner = {name: value for name, value in node.items() if name not in ("_target_", "defaults")}
    return {name: value for part, under in inner.items() for name, value in leaves(under, f"{key}.{part}").items()}


def shown(screen: str) -> dict[str, str]:
    """The settings on a help screen, by name, and their defaults as they are written."""
    return dict(re.findall(r"^  ([\w.@/]+)=(.*?)(?:  .*| +\[.*)?$", screen, re.M))


@pytest.mark.parametrize("group", GROUPS)
def test_every_setting_of_every_option_stands_on_its_screen_with_its_default(group: str) -> None:
    for file in sorted((CONF / group).glob("*.yaml")):
        node = yaml.safe_load(file.read_text()) or {}
        screen = topic_text([f"{group}={file.stem}"])
        prefix = "" if "@package _global_" in file.read_text() else f".{group.replace('/', '.')}"
        found = shown(screen)
        wanted = {name.lstrip("."): value for name, value in leaves(node, prefix).items() if name.strip(".")}
        wanted.pop(prefix.lstrip("."), None)  # of an option without settings
        assert found.keys() == wanted.keys(), file
        for name, value in wanted.items():
            assert yaml.safe_load(found[name]) == value, name


def test_ranges_and_meanings_stand_beside_the_settings() -> None:
    rows = {
        row.split("=")[0].strip(): row for row in topic_text(["divergence=capacity", "optimizer=adam"]).splitlines()
    }
    assert rows["divergence.gamma"].endswith("[float, not negative]")
    assert rows["divergence.capacity.start"].endswith("nats [float]")
    assert rows["optimizer.lr"].endswith("[float, between 1e-9 and 10]")


def test_what_an_option_chooses_is_said_as_one_sets_it(compose: Compose) -> None:
    for topic in ("architecture=conv", "distribution=mixed", "divergence=sum", "distribution=normal"):
        (row,) = re.findall(r"^  chooses (.*)$", topic_text([topic]), re.M)
        config = compose(topic)
        assert OmegaConf.to_container(compose(topic, *row.split(", "))) == OmegaConf.to_container(config)


def test_a_group_shows_each_of_its_options() -> None:
    screen = topic_text(["likelihood"])
    assert re.findall(r"^likelihood=(\w+)   \S", screen, re.M) == sorted(
        file.stem for file in (CONF / "likelihood").glob("*.yaml")
    )


def test_a_setting_is_shown_for_each_option_that_has_it() -> None:
    screen = topic_text(["divergence.alpha"])
    assert re.findall(r"^divergence=(\w+)$", screen, re.M) == ["beta_tc", "info"]
    assert "engine.batch_size=64" in topic_text(["engine"])


def test_the_users_own_options_are_shown(inside: Path) -> None:
    own = inside / "mine" / "likelihood"
    own.mkdir(parents=True)
    (own / "sharp.yaml").write_text("# A sharp one.\n_target_: mine.Sharp\nedge: 3  # pixels\n")
    screen = topic_text(["likelihood=sharp"], inside / "mine")
    assert screen.splitlines()[0] == "likelihood=sharp   A sharp one."
    assert re.search(r"^  likelihood.edge=3 +pixels$", screen, re.M)


@pytest.mark.parametrize(
    ("topic", "line"),
    [
        ("divergence=tcc", "no divergence called 'tcc'. Choices: "),
        ("divergence=capacty", "no divergence called 'capacty'. Did you mean divergence=capacity? Choices: "),
        ("engne.steps", "--help engne.steps: no group or setting of that name. Did you mean engine.steps?"),
        ("nothing_like_it", "--help nothing_like_it: no group or setting of that name."),
    ],
)
def test_a_topic_that_is_none_is_told_in_one_line(topic: str, line: str) -> None:
    with pytest.raises(UserError) as told:
        topic_text([topic])
    assert str(told.value).startswith(line)


@pytest.mark.parametrize("arguments", [["--help", "likelihood"], ["--help=likelihood"], ["likelihood", "-h"]])
def test_help_takes_its_topic_from_anywhere(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 0
    assert capsys.readouterr().out.startswith("options of likelihood, and their settings\n")


def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    rows = [row for row in topic_text(GROUPS).splitlines() if row.startswith("   ")]
    assert rows
    assert max(map(len, rows)) <= 100


VALUES_THERE = {  # of settings that take no 3
    **{"dataset.validation": "0.2", "dataset.image_size": "64", "engine.device": "cuda:0", "engine.threads": "1"},
    **{"engine.precision": "16-mixed", "dataset.root": "/data/x", "hydra.run.dir": "/tmp/x", "logger": "tensorboard"},
    **{"resume": "outputs/latest", "architecture.encoder.hidden": "512", "optimizer.lr": "1e-3"},
}
THERE = {
    *(
        (name, VALUES_THERE.get(setting.split(" ")[0], "3"))
        for name, setting in SETTINGS.items()
        if setting not in ("jobs", "trials")
    ),
    *((name, value) for name in SWITCHES for value in ("true", "0")),
}


def hints_of(configs: Composer) -> set[tuple[str, ...]]:
    """What is proposed for the settings of other programs, argument by argument, with the option that it is of."""
    known = set(nodes(OmegaConf.to_container(configs.compose([]), resolve=False)))
    found = set()
    for name, value in THERE:
        said = hint(name, value, known, configs.groups, configs.options)
        proposed = re.fullmatch(r" Did you mean ([^,]*?)(?:, a setting of (\S+?)(?:\|.*)?)?\?", said)
        assert proposed, (name, value, said)
        found.add((*proposed[1].split(" "), *filter(None, [proposed[2]])))
    return found


def packed(hints: set[tuple[str, ...]]) -> list[dict[str, str]]:
    """The hints in few command lines, of which none sets anything twice, or chooses one option and sets another."""
    lines: list[dict[str, str]] = []
    for arguments in sorted(hints):
        given = dict(argument.split("=", 1) for argument in arguments)
        parts = {name.split(".")[0] for name in given} - {"engine"}
        if not (line := next((one for one in lines if not (parts | set(given)) & _taken(one)), None)):
            lines.append(line := {})
        line |= given
    return lines


def _taken(line: dict[str, str]) -> set[str]:
    return {*line, *(name.split(".")[0] for name in line)} - {"engine"}


def test_each_setting_that_is_proposed_to_whoever_comes_from_another_program_is_accepted(configs: Composer) -> None:
    missing = ("pip install", "sees no GPU", "dataset.root is not set")  # on this machine, or besides
    hints = hints_of(configs)
    for line in packed(hints):
        alone = {"experiment": "null"} | line  # without what suits some data set
        request = read_arguments([f"{name}={value}" for name, value in alone.items()])
        _, problems = check(without_hydra(configs.compose(request.overrides)))
        assert [problem for problem in problems if not any(one in problem for one in missing)] == [], line
    assert len(hints) > 30


@pytest.mark.parametrize("group", OPTIONS)
def test_each_option_that_is_proposed_is_there(group: str, configs: Composer) -> None:
    for name, here in OPTIONS[group].items():
        option, _, more = here.partition(" ")
        assert option in configs.options(group)
        assert f"{group}={here}" in option_hint(group, group, name, configs.options(group))
        if more:
            assert topic_text([more.partition("=")[0]])


def test_each_group_that_a_choice_may_be_of_is_there(configs: Composer) -> None:
    for groups in CHOICES.values():
        assert set(groups) <= configs.groups


MEANT = {
    "betavae": "divergence=beta",
    "max_steps": "engine.steps=VALUE",
    "model=betavae": "divergence=beta",
    "model=resnet18": "architecture=resnet",
    "loss=bce": "likelihood=bernoulli",
    "loss=mse": "likelihood=gaussian",
    "model=unheard_of": "divergence=OPTION",
    "model.Latent-Dim=4,8": "distribution.dims=4,8",
    "num_epochs=10": "engine.epochs=10 engine.steps=null",
    "gpus=0": "engine.device=cpu",
    "gpus=2": "engine.device=cuda",
    "hidden_dim=256": "architecture.encoder.hidden=[256]",
    "beta=4": "divergence.beta=4",
    "gamma=10": "divergence.gamma=10, a setting of divergence=beta_tc|capacity|factor",
    "image_size=64": "dataset.image_size=64, a setting of dataset=celeba|celeba_hq|folder",
    "data_dir=/x/~y": "dataset.root=/x/~y",
    "--batch-size 32": "engine.batch_size=32",
    "--model betavae": "divergence=beta",
    "--cuda": "engine.device=cuda",
}


def test_the_value_stands_in_the_hint(configs: Composer) -> None:
    with pytest.raises(UserError) as told:
        precheck(read_arguments([part for typed in MEANT for part in typed.split(" ")]), configs)
    lines = str(told.value).splitlines()
    for typed, meant in MEANT.items():
        ends = (f"settings are written without dashes: {meant}", f" Did you mean {meant}?")
        name = typed.partition("=")[0] if "--" not in typed else "dashes"
        assert any(f"{name}" in line and line.endswith(ends) for line in lines), (typed, lines)


def test_no_name_of_other_programs_hides_one_of_ours() -> None:
    for group, options in OPTIONS.items():
        ours = {file.stem.replace("_", "") for file in (CONF / group).glob("*.yaml")}
        assert not ours & {name for name, here in options.items() if here.replace("_", "") != name}


def test_names_are_known_however_they_are_written() -> None:
    assert typed_here("model.Latent-Dim", "5", list) == typed_here("latent_dim", "5", list) == "distribution.dims=5"
    assert option_here("divergence", "Beta-TCVAE") == "beta_tc"
    assert option_here("divergence", "unheard_of") is typed_here("unheard_of", "5", list) is None


@pytest.mark.slow
def test_whoever_types_the_names_of_other_programs_is_told_ours(vae_train: Run) -> None:
    code, _, errors = vae_train("latent_dim=5", "likelihood=mse", "dataset=mnist", "model=betavae", "image_size=64")
    assert code == 2
    hints = [re.search(r"Did you mean (.*?)\?", line) for line in errors.splitlines()]
    assert [hint[1] for hint in hints if hint] == [
        *("likelihood=gaussian", "dataset=torchvision dataset.name=MNIST"),
        *(
            "distribution.dims=5",
            "divergence=beta",
            "dataset.image_size=64, a setting of dataset=celeba|celeba_hq|folder",
        ),
    ]
