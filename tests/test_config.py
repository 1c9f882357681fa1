"""Every option under conf/: it fits its code, composes and trains."""

import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from arrays import write_arrays
from omegaconf import DictConfig, OmegaConf
from photos import write_photos
from published_sets import SMALL, write_published
from samples import every
from test_torchvision_sets import write_mnist

from vae_runner.cli.composing.composer import path_value
from vae_runner.cli.precheck import Composer
from vae_runner.cli.sweeping.sweep import _Rest
from vae_runner.datasets.split import SplitConfig
from vae_runner.engine import Engine, EngineConfig
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import build_model
from vae_runner.experiment.checking.check import FILLED, GIVEN, check
from vae_runner.experiment.checking.scheduled import CHOICES
from vae_runner.experiment.saved_run.resume import compare_configs
from vae_runner.experiment.spelling import nearest
from vae_runner.paths import config_dir
from vae_runner.runs.ledger import Ledger
from vae_runner.runs.words import literal, quoted
from vae_runner.signature import locate, parameters
from vae_runner.state import LOSS, METRICS

FILES = [file for file in sorted(config_dir().rglob("*.yaml")) if file.parent != config_dir()]
OPTIONS = [(file.parent.relative_to(config_dir()).as_posix(), file.stem) for file in FILES]
PAPERS = [("experiment", option) for group, option in OPTIONS if group == "experiment" and "20" in option]
Compose = Callable[..., DictConfig]


def nodes(config: Any, key: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every `_target_` node of a file with its key, less what the user has to choose."""
    if not isinstance(config, dict):
        return []
    here = [(key, config)] if config.get("_target_", "???") != "???" else []
    return here + [node for name, value in config.items() for node in nodes(value, f"{key}.{name}".strip("."))]


def test_a_latent_space_that_cannot_be_made_is_told_by_its_place(compose: Compose) -> None:
    config = check(compose("distribution=normal_aligned", "distribution/prior=laplace"))[0]
    with pytest.raises(UserError, match=r"^distribution: prior: SimpleLaplace is not the same in every direction"):
        build_model(config, (1, 32, 32))


def test_each_option_of_the_group_of_schedules_can_be_meant() -> None:
    assert {file.stem for file in (config_dir() / "schedule").glob("*.yaml")} == set(CHOICES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(config_dir()).as_posix())
def test_every_yaml_lists_every_argument_of_its_target(file: Path) -> None:
    group = file.parent.relative_to(config_dir()).as_posix().replace("/", ".")
    content = yaml.safe_load(file.read_text())
    chosen = {key.partition("@")[2] for item in content.get("defaults", []) if isinstance(item, dict) for key in item}
    for key, node in nodes(content):
        accepted = parameters(locate(node["_target_"])).items()
        names = {name for name, (parameter, _) in accepted if parameter.kind < parameter.VAR_KEYWORD}
        names -= {name for name, (parameter, _) in accepted if parameter.kind == parameter.VAR_POSITIONAL}
        names -= {"validate_args"}  # of a prior: its latent space checks it
        names -= {"prior"} if group == "distribution" else set()  # a group of its own
        if key == "":
            names -= GIVEN.get(group, frozenset())
        if group == "dataset" and key == "":
            names |= {field.name for field in fields(SplitConfig)}
        own = set(node) - {"_target_", "defaults"}
        assert own | (chosen & names if key == "" else set()) == names, key


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(config_dir()).as_posix())
def test_every_yaml_says_what_it_is(file: Path) -> None:
    first = file.read_text().splitlines()[0 if "@package" not in file.read_text() else 1]
    assert first.startswith("# ")
    assert first.endswith(".")


def test_the_engine_node_lists_every_setting_with_its_default(compose: Compose) -> None:
    config, problems = check(compose())
    assert problems == []
    assert EngineConfig(**config["engine"]) == EngineConfig()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "option"), [*(one for one in OPTIONS if one not in PAPERS), *every(5, PAPERS)], ids=lambda part: part
)
def test_every_option_trains_two_steps_with_finite_gradients(
    group: str, option: str, experiment: Callable[..., Engine], cache: Path, tmp_path: Path
) -> None:
    overrides = ["dataset=dsprites"] if group in ("experiment", "dataset") else []
    place = "@divergence.beta" if group == "schedule" else ""
    overrides.append(f"{group}=[{option}]" if group == "visualisation" else f"{group}{place}={option}")
    overrides += ["dataset=bars"] if option in ("ada_gvae", "ada_ml_vae") else []
    overrides += ["dataset.channels=3"] if group == "augmentation" else []  # gray images have no colours
    overrides += ["distribution=mixed"] if option in ("per_space", "capacity_per_space") else []
    if group == "distribution/prior":
        overrides.append("divergence.samples=2" if option in ("mixture", "vamp") else f"distribution={option}")
    if group == "dataset" and option == "torch":
        fake = {"_target_": "torchvision.datasets.FakeData", "size": 40, "image_size": "[3,16,16]"}
        overrides += [f"++dataset.dataset.{name}={value}" for name, value in fake.items()]
    elif group == "dataset" and option == "torchvision":
        write_mnist(tmp_path)
        overrides = ["dataset=torchvision", "dataset.name=MNIST", f"dataset.root={tmp_path}"]
    elif group == "dataset" and option == "arrays":
        write_arrays(tmp_path)
        overrides = [
            "dataset=arrays",
            "dataset.images=bars.npz",
            f"dataset.root={tmp_path}",
            "dataset.factors=bars.npz",
        ]
    elif group == "dataset" and option in SMALL:
        write_published(tmp_path)
        overrides = [f"dataset={option}", f"dataset.root={tmp_path}", f"dataset._target_={SMALL[option]}"]
        overrides += ["dataset.validation=8", f"dataset.cache_dir={tmp_path}"]
    elif group == "dataset" and option == "shapes3d":
        overrides = ["dataset=shapes3d", "dataset.source=render", f"dataset.cache_dir={cache}", "dataset.validation=32"]
    elif group == "dataset" and option != "dsprites":
        photos = write_photos(tmp_path / "photos", count=30, size=(178, 218))
        overrides = [f"dataset={option}", f"dataset.root={photos}", "dataset.validation=8"]
    elif overrides[0] == "dataset=dsprites":
        overrides += ["dataset.source=render", f"dataset.cache_dir={cache}", "dataset.validation=32"]
    if option == "factors":  # toy images are of none
        overrides += [
            "dataset=shapes3d",
            "dataset.source=render",
            f"dataset.cache_dir={cache}",
            "dataset.validation=32",
        ]
    if group == "experiment":
        overrides.append("visualisation=[reconstruction]")  # pictures are options of their own
    overrides += ["engine.steps=2", "engine.epochs=null", "engine.batch_size=16", "engine.device=cpu"]
    engine = experiment(*overrides, folder=tmp_path)
    for _ in range(2):
        state = engine.train_step()
        assert torch.isfinite(state[LOSS])
    gradients = [parameter.grad for parameter in engine.objective.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    engine.step = 0
    engine.run()
    if group == "visualisation":
        names = {path.stem for path in tmp_path.glob("grids/*.png")} | {
            path.stem for path in tmp_path.glob("animations/*.gif")
        }
        written = {"animation": {"traversal"}, "explore": set()}  # a page, when the whole run has ended
        assert names == written.get(option, {option})


def test_encoders_and_decoders_can_be_mixed(experiment: Callable[..., Engine]) -> None:
    engine = experiment("architecture/encoder=mlp", "architecture/decoder=conv_higgins")
    assert torch.isfinite(engine.train_step()[LOSS])


def test_a_preset_wins_over_the_defaults_and_the_command_line_over_the_preset(compose: Compose) -> None:
    cfg = compose("experiment=higgins2017_dsprites")
    assert cfg.optimizer._target_ == "torch.optim.Adagrad"
    assert cfg.optimizer.initial_accumulator_value == 0.1
    assert cfg.engine.steps == 100_000
    cfg = compose("experiment=higgins2017_dsprites", "engine.steps=7", "optimizer=adam")
    assert cfg.engine.steps == 7
    assert cfg.optimizer._target_ == "torch.optim.Adam"


def test_the_burgess_preset_is_the_paper_s(compose: Compose) -> None:
    cfg = compose("experiment=burgess2018_dsprites")
    assert OmegaConf.to_container(cfg.divergence.capacity) == {
        "_target_": "vae_runner.schedule.Linear", "start": 0.0, "end": 25.0, "steps": 100_000, "delay": 0,
    }  # fmt: skip
    assert (cfg.divergence.gamma, cfg.optimizer.lr, cfg.engine.batch_size) == (1000, 5e-4, 64)


def test_the_photo_presets_are_the_papers(compose: Compose) -> None:
    cfg = compose("experiment=higgins2017_celeba", "dataset=toy")
    assert cfg.architecture.encoder.channels == cfg.architecture.decoder.channels[::-1] == [32, 32, 64, 64]
    assert (cfg.distribution.dims, cfg.divergence.beta, cfg.optimizer.lr) == (32, 250, 1e-4)
    assert cfg.likelihood == {"_target_": "vae_runner.likelihood.Gaussian", "sigma": 0.1}
    cfg = compose("experiment=burgess2018_celeba", "dataset=toy")
    capacity = cfg.divergence.capacity
    assert (capacity.start, capacity.end, capacity.steps, capacity.delay) == (0, 50, 100_000, 0)
    assert (cfg.divergence.gamma, cfg.optimizer.lr, cfg.architecture.encoder.hidden) == (10_000, 5e-4, [256, 256])


@pytest.mark.parametrize("preset", ["higgins2017_celeba", "burgess2018_celeba", "photos64"])
def test_the_photo_presets_train_on_colour_images_of_64_pixels(experiment: Callable[..., Engine], preset: str) -> None:
    small = ("dataset=toy", "dataset.size=64", "dataset.channels=3", "engine.batch_size=4", "engine.steps=2")
    engine = experiment(f"experiment={preset}", *small)
    assert engine.run()["bits_per_dim"] > 0
    assert 3e5 < sum(parameter.numel() for parameter in engine.objective.parameters()) < 4e6


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["divergence=per_space"], "divergence has 2 parts, but distribution has 1: each latent space needs one"),
        (["distribution=mixed", "distribution.space0.dims=0"], "distribution.space0.dims must be positive, got 0"),
        (["distribution=mixed", "++distribution.space0.dimz=1"],
         "no setting called 'distribution.space0.dimz'. Did you mean distribution.space0.dims?"),
        (["distribution.prior.mu=x"], "distribution.prior.mu: expected float, got 'x'"),
        (["distribution.prior=normal"],
         "distribution.prior: expected Distribution or LearnedPrior or null, got 'normal'"),
        (["divergence.samples=0"], "divergence.samples must be positive, got 0"),
        (["++engine.stepz=3"], "no setting called 'engine.stepz'. Did you mean engine.steps?"),
        (["++epcohs=3"], "no setting called 'epcohs'. Did you mean engine.epochs?"),
        (["++optimizer.learning_rate=3"], "no setting called 'optimizer.learning_rate'."),
        (["divergence.beta=abc"], "divergence.beta: expected float or Schedule, got 'abc'; a schedule is chosen by its "
         "group: schedule@divergence.beta=linear"),
        (["divergence.beta=steps"], "divergence.beta: expected float or Schedule, got 'steps'; a schedule is chosen by "
         "its group: schedule@divergence.beta=steps"),
        (["dataset.held_out=heart"], "dataset.held_out: expected {NAME: VALUE} or null, got 'heart'"),
        (["divergence.beta=-1"], "divergence.beta must not be negative, got -1"),
        (["divergence.beta=inf"], "divergence.beta must be finite, got inf"),
        (["engine.clip_norm=inf"], "engine.clip_norm must be finite, got inf"),
        (["divergence.beta=1e300"], "divergence.beta must be at most 3.4e38, the largest number in single precision"),
        (["divergence.beta=nan"], "divergence.beta must be finite, got nan"),
        (["engine.clip_norm=1e-30"], "engine.clip_norm must be at least 1e-6: smaller gradients train nothing"),
        (["engine.steps=1000000000000000000000"], "engine.steps must be below 2^63, got 1000000000000000000000"),
        (["optimizer.eps=inf"], "optimizer.eps must be finite, got inf"),
        (["optimizer.betas=[0.9,nan]"], "optimizer.betas must be finite, got [0.9, nan]"),
        (["optimizer.lr=100"], "optimizer.lr must lie between 1e-9 and 10, got 100"),
        (["optimizer.lr=1e-12"], "optimizer.lr must lie between 1e-9 and 10, got 1e-12"),
        (["optimizer.eps=1e9"], "optimizer.eps must lie between 1e-30 and 1, got 1000000000.0"),
        (["optimizer.maximize=true"], "optimizer.maximize must be false: the loss is to become small, got true"),
        (["optimizer.capturable=true", "optimizer.fused=false"], "optimizer: If capturable=True"),
        (["lr_schedule=linear", "lr_schedule.end=nan"], "lr_schedule.end must be finite, got nan"),
        (["lr_schedule=linear", "lr_schedule.end=-1"], "lr_schedule.end must not be negative, got -1"),
        (["lr_schedule=constant", "lr_schedule.value=0"],
         "optimizer.lr times the largest factor of lr_schedule must lie between"),
        (["lr_schedule=constant", "lr_schedule.value=1e6"],
         "optimizer.lr times the largest factor of lr_schedule must lie between"),
        (["divergence=capacity", "divergence.capacity.end=-1"], "divergence.capacity.end must not be negative, got -1"),
        (["divergence=beta_annealed", "divergence.beta.start=-1"], "divergence.beta.start must not be negative"),
        (["divergence=capacity", "divergence.gamma=inf"], "divergence.gamma must be finite, got inf"),
        (["distribution.prior.mu=nan"], "distribution.prior.mu must be finite, got nan"),
        (["likelihood=gaussian", "likelihood.sigma=1e-30"], "likelihood.sigma must lie between 1e-6 and 1e6"),
        (["visualisation.traversal.lin_end=inf"], "visualisation.traversal.lin_end must be finite, got inf"),
        (["optimizer.betas=[0.9]"], "optimizer.betas: expected [float, float], got [0.9]"),
        (["distribution.dims=2.5"], "distribution.dims: expected int, got 2.5"),
        (["dataset.validation=0"], "dataset.validation must be a part below 1 or a count of images, got 0"),
        (["architecture.encoder._target_=no.Such"], "architecture.encoder._target_: cannot import 'no.Such'"),
        (["divergence=capacity", "divergence.capacity.steps=0"], "divergence.capacity.steps must be positive, got 0"),
        (["divergence.beta={_target_: vae_runner.likelihood.Bernoulli}"],
         "divergence.beta: expected float or Schedule, got vae_runner.likelihood.Bernoulli"),
        (["schedule@divergence.beta=linear", "divergence.beta.start=-1"],
         "divergence.beta.start must not be negative, got -1"),
        (["schedule@divergence.beta=steps", "divergence.beta.steps=[5,5]"],
         "divergence.beta: steps must rise, got [5, 5]"),
        (["schedule@divergence.beta=chain", "divergence.beta.first=-2"],
         "divergence.beta must not be negative, but its schedule comes to -2"),
        (["schedule@divergence.bta=linear"], "no setting called 'divergence.bta'. Did you mean divergence.beta?"),
        (["schedule@divergence.samples=linear"], "divergence.samples: expected int or null, got vae_runner.schedule.L"),
        (["visualisation.traversal.lin_steps=0"], "visualisation.traversal.lin_steps must be positive, got 0"),
        (["~divergence"], "no divergence is chosen; set divergence=..."),
        (["~distribution.dims", "distribution._target_=torch.nn.Linear"], "distribution.in_features is missing"),
        (["dataset.root=???"], "dataset.root is not set; set dataset.root=..."),
        (["seed=x"], "seed: expected int, got 'x'"),
        (["engine.log_every=${engine.nothing}"], "engine.log_every: Interpolation key 'engine.nothing' not found"),
        (["+architecture.encoder.image_shape=[1,2,3]"], "architecture.encoder.image_shape follows from the data"),
        (["engine.device=tpu"], "engine.device: expected one of auto, cpu, cuda, got 'tpu'"),
    ],
)  # fmt: skip
def test_mistakes_get_their_line(compose: Compose, overrides: list[str], line: str) -> None:
    _, problems = check(compose(*overrides))
    assert any(problem.startswith(line) for problem in problems), problems


class Endless(torch.nn.Module):
    """A part whose own default is without end: a value that it offers itself is one that it takes."""

    def __init__(self, limit: float = float("inf")) -> None:
        super().__init__()


def test_what_a_part_offers_itself_need_not_be_finite(compose: Compose) -> None:
    part = f"{{_target_: {__name__}.Endless, limit: %s}}"
    assert check(compose(f"++likelihood={part % 'inf'}"))[1] == []
    assert check(compose(f"++likelihood={part % '-inf'}"))[1] == ["likelihood.limit must be finite, got -inf"]


@pytest.mark.slow
@pytest.mark.parametrize(("most", "told"), [(2, "2 cores"), (1, "1 core")])
def test_more_threads_than_cores_are_refused(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, most: int, told: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(most)), raising=False)
    assert check(compose(f"engine.threads={most}"))[1] == []
    line = f"engine.threads={most + 1}: this process may use {told}"
    assert check(compose(f"engine.threads={most + 1}"))[1] == [line]
    assert check(compose("engine.threads=1e3", "engine.batch_size=0", "divergence.beta=-1"))[1] == [
        "engine.batch_size must be positive, got 0",
        f"engine.threads=1000: this process may use {told}",
        "divergence.beta must not be negative, got -1",
    ]


def test_all_cores_of_a_large_machine_may_be_used(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(96)), raising=False)
    assert check(compose("engine.threads=96"))[1] == []


def test_all_mistakes_are_listed_together(compose: Compose) -> None:
    _, problems = check(compose("engine.batch_size=0", "engine.device=tpu", "divergence.beta=x", "++nothing=1"))
    assert len(problems) == 4


def test_whole_numbers_may_be_written_as_floats(compose: Compose) -> None:
    config, problems = check(compose("engine.steps=2e4", "distribution.dims=1e1"))
    assert problems == []
    assert (config["engine"]["steps"], config["distribution"]["dims"]) == (20_000, 10)
    assert isinstance(config["engine"]["steps"], int)


def test_a_schedule_can_be_given_where_a_number_stands(experiment: Callable[..., Engine]) -> None:
    schedule = "{_target_: vae_runner.schedule.Linear, start: 0.0, end: 4.0, steps: 4}"
    engine = experiment(f"divergence.beta={schedule}")
    betas = [float(engine.objective.divergences[0].scheduled()["beta"]) for _ in range(5) if engine.train_step()]
    assert betas == [1, 2, 3, 4, 4]


def test_a_schedule_takes_the_place_of_whatever_stood_there(compose: Compose) -> None:
    cyclic = yaml.safe_load((config_dir() / "schedule/cyclic.yaml").read_text())
    for divergence in ("beta", "beta_annealed"):  # a number, and a Linear that has settings of its own
        cfg = compose(f"divergence={divergence}", "schedule@divergence.beta=cyclic", "divergence.beta.period=1e3")
        config, problems = check(cfg)
        assert problems == []
        assert config["divergence"]["beta"] == cyclic | {"period": 1000}


def test_a_schedule_goes_to_any_number_that_may_be_one(compose: Compose) -> None:
    places = {"divergence.capacity": "experiment=burgess2018_dsprites", "lr_schedule": "lr_schedule=cosine"}
    places["divergence.space1.capacity"] = "divergence=per_space"
    for place, choice in places.items():
        config, problems = check(compose("distribution=mixed" if "space" in place else "seed=0", choice,
                                         f"schedule@{place}=sigmoid"))  # fmt: skip
        assert problems == []
        for name in place.split("."):
            config = config[name]
        assert config == yaml.safe_load((config_dir() / "schedule/sigmoid.yaml").read_text())


def test_the_parts_of_a_chain_are_chosen_in_any_order(compose: Compose) -> None:
    parts = ["schedule@divergence.beta.first=linear", "divergence.beta.first.steps=7", "schedule@divergence.beta=chain"]
    config, problems = check(compose(*parts))
    assert problems == []
    assert config["divergence"]["beta"]["first"]["steps"] == 7
    assert config["divergence"]["beta"]["then"] == 1.0


def test_the_learning_rate_schedule_fills_the_run(experiment: Callable[..., Engine]) -> None:
    assert experiment("lr_schedule=cosine", "engine.steps=null", "engine.epochs=3").lr_schedule.steps == 30
    assert experiment("lr_schedule=cosine", "lr_schedule.steps=5").lr_schedule.steps == 5
    assert FILLED.keys() == {"lr_schedule"}


def test_each_latent_space_can_have_its_own_family_and_divergence(experiment: Callable[..., Engine]) -> None:
    engine = experiment(
        "distribution=mixed",
        "distribution@distribution.space1=weibull",
        "distribution.space1.dims=3",
        "divergence=per_space",
        "divergence@divergence.space0=kl",
        "divergence.space1.gamma=10",
    )
    assert [type(space).__name__ for space in engine.objective.model.spaces] == ["NormalSpace", "WeibullSpace"]
    assert engine.objective.model.latent_dims == [6, 3]
    metrics = engine.train_step()[METRICS]
    assert metrics["space0/divergence"] == metrics["space0/kl"]
    assert float(metrics["space1/divergence"]) == pytest.approx(10 * float(metrics["space1/kl"]))  # C is 0
    first, second = engine.objective.divergences
    assert (first.scheduled().keys(), second.scheduled().keys()) == (
        {"space0/beta"}, {"space1/beta", "space1/capacity"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["distribution=laplace", "distribution.prior={_target_: torch.distributions.Gumbel, loc: 0.0, scale: 1.0}"],
         r"KL\(SimpleLaplace \|\| Gumbel\) has no closed form; divergence.samples=16 estimates it from 16 samples"),
        (["distribution=normal", "distribution/prior=exponential"],
         r"KL\(SimpleNormal \|\| SimpleExponential\) is infinite: the prior has to cover"),
        (["distribution=weibull", "distribution.prior.k=-1"], r"prior: SimpleWeibull's k must be positive, got -1.0"),
    ],
)  # fmt: skip
def test_a_prior_that_does_not_fit_is_refused_before_training(
    overrides: list[str], line: str, experiment: Callable[..., Engine]
) -> None:
    with pytest.raises(UserError, match=line):
        experiment(*overrides)


def test_a_pair_without_a_closed_form_is_estimated_when_asked(experiment: Callable[..., Engine]) -> None:
    engine = experiment(
        "distribution=laplace",
        "distribution.prior={_target_: torch.distributions.Gumbel, loc: 0.0, scale: 1.0}",
        "divergence.samples=4",
    )
    assert torch.isfinite(engine.train_step()[LOSS])


def test_the_sum_over_the_batch_is_reported_per_image(experiment: Callable[..., Engine]) -> None:
    metrics = experiment("divergence=kl", "divergence.reduction=sum_sum").train_step()[METRICS]
    assert float(metrics["divergence"]) == pytest.approx(16 * float(metrics["kl"]))


def test_nearest_judges_by_the_last_part_first() -> None:
    known = ["engine.epochs", "dataset.root", "divergence.beta", "architecture/encoder", "optimizer.betas"]
    assert nearest("epcohs", known) == "engine.epochs"
    assert nearest("divergence.betta", known) == "divergence.beta"
    assert nearest("encoder", known) == "architecture/encoder"
    assert nearest("zzz", known) is None


ODD = ["/data/\u00e9t\u00e9 1", "a\\b", "a\\\\b", 'a"b', 'a\\"b', "end\\", "it's, {all} [of] it=", "a\\ b"]


@pytest.mark.slow
@pytest.mark.parametrize("text", [*ODD, "${seed}", 'x${oc.env:HOME}"\\'])
def test_any_path_can_be_given_to_hydra(configs: Composer, text: str) -> None:
    given = configs.compose(["dataset=folder", f"dataset.root={quoted(literal(text))}"])
    assert given.dataset.root == text
    path = Path("/x", text.lstrip("/"))
    assert configs.compose([f"hydra.run.dir={path_value(path)}"]).hydra.run.dir == str(path)


@pytest.mark.parametrize("text", ODD)
def test_a_setting_of_a_resumed_sweep_reaches_its_new_jobs_as_it_is(configs: Composer, text: str) -> None:
    changes = {"dataset.root": text, "engine.threads": None, "engine.progress": False, "engine.steps": 20}
    (job,) = _Rest(Ledger("vae-train", "0000", jobs=[["seed=1"]], changes=changes), [0], {}).jobs(trust=False)
    parsed = {override.key_or_group: override.value() for override in map(configs.parse, job)}
    assert parsed == {"seed": 1, **changes, "trust": False}


TERMS_WITH_KL = ["control", "control_generation", "dip_i", "dip_ii", "factor", "free_bits", "geco", "info"]


@pytest.mark.slow
@pytest.mark.parametrize("option", TERMS_WITH_KL)
def test_a_term_with_a_kl_that_does_not_exist_is_refused_before_training(
    option: str, experiment: Callable[..., Engine]
) -> None:
    pair = ["distribution=weibull", "distribution/prior=laplace", "distribution.prior.loc=9"]
    line = r"KL\(SimpleWeibull \|\| SimpleLaplace\) has no closed form; divergence.samples=16 estimates it"
    with pytest.raises(UserError, match=line):
        experiment(f"divergence={option}", *pair)
    assert torch.isfinite(experiment(f"divergence={option}", "divergence.samples=2", *pair).train_step()[LOSS])
    with pytest.raises(UserError, match=r"KL\(SimpleNormal \|\| SimpleExponential\) is infinite"):
        experiment(f"divergence={option}", "distribution/prior=exponential")


@pytest.mark.parametrize("option", ["beta_tc", "wae"])
def test_a_term_without_a_kl_asks_for_none(option: str, experiment: Callable[..., Engine]) -> None:
    engine = experiment(f"divergence={option}", "distribution=weibull", "distribution/prior=laplace")
    assert torch.isfinite(engine.train_step()[LOSS])


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["divergence=beta_tc", "distribution.dims=1"], "one latent has no total correlation; make distribution.dims"),
        (["divergence=factor", "engine.batch_size=2"], "permuted=second_half needs engine.batch_size to be at least 4"),
        (
            ["divergence=wae", "engine.batch_size=1"],
            "^divergence: the discrepancy is a mean over pairs of images; make engine.batch",
        ),
        (["divergence=dip_i", "engine.batch_size=1"], "one image has no covariance; make engine.batch_size at least 2"),
        (["divergence=info", "divergence.alpha=2"], "alpha must be at most 1, where the KL has no weight, got 2"),
        (["divergence=free_bits", "divergence.groups=[3]"], r"groups must add up to the 10 latents, got \[3\]: 3"),
        (["divergence=control", "divergence.start=0"], "start must lie from beta_min to beta_max, 1 to 100, got 0"),
        (
            ["divergence=factor", "optimizer=adagrad"],
            "divergence sets betas for its own weights, which torch.optim.Adagrad",
        ),
    ],
)
def test_a_term_that_cannot_be_computed_is_refused(
    overrides: list[str], line: str, experiment: Callable[..., Engine]
) -> None:
    with pytest.raises(UserError, match=line) as raised:
        experiment(*overrides)
    assert "\n" not in str(raised.value)


def test_a_checkpoint_of_another_config_is_told_in_one_line_whatever_it_holds() -> None:
    with pytest.raises(UserError) as told:
        compare_configs({"visualisation": "a\nvae-train: all is well\x1b[2J"}, {"visualisation": None})
    assert "\n" not in str(told.value)
    assert str(told.value).isprintable()
    assert "checkpoint has visualisation a" in str(told.value)
