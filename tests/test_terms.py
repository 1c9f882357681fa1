"""What is trained and what is measured are two things: terms of a user's own change the one and not the other."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TOY
from omegaconf import DictConfig
from own_terms import Critic, Impostor, MeanSquares
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from vae_runner.callbacks import Checkpoints
from vae_runner.checkpoint import load_latest
from vae_runner.divergence import ClosedFormKL
from vae_runner.engine import Engine
from vae_runner.engine.config import choose_precision
from vae_runner.engine.rates import Rates
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import assemble
from vae_runner.experiment.checking.check import check
from vae_runner.objective import Objective
from vae_runner.state import LOSS, METRICS, OWN_LOSS, SCHEDULED, State, posterior_key, prior_key, sample_key

Make = Callable[..., Engine]
Node = dict[str, Any]
KL: Node = {"_target_": "vae_runner.divergence.plain_kl"}
SQUARES: Node = {"_target_": "own_terms.MeanSquares"}
CRITIC: Node = {"_target_": "own_terms.Critic"}
WITNESS: Node = {"_target_": "own_terms.Witness"}
GUMBEL = "distribution.prior={_target_: torch.distributions.Gumbel, loc: 0.0, scale: 1.0}"


@pytest.fixture
def checked(compose: Callable[..., DictConfig]) -> Callable[..., tuple[dict[str, Any], list[str]]]:
    """checked(node, *overrides) -> the toy run's config with that node as its `divergence`, and what is wrong."""

    def make(node: Node, *overrides: str) -> tuple[dict[str, Any], list[str]]:
        cfg = compose(*TOY, "architecture=mlp", *overrides)
        cfg.divergence = node
        return check(cfg)

    return make


@pytest.fixture
def run(checked: Callable[..., tuple[dict[str, Any], list[str]]]) -> Make:
    """run(node, *overrides, folder=None) -> the engine of a toy run with that node as its `divergence`."""

    def make(node: Node, *overrides: str, folder: Path | None = None) -> Engine:
        config, problems = checked(node, *overrides)
        assert problems == []
        return assemble(config, folder)

    return make


@pytest.fixture
def graphs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile into one graph, with everything but the making of kernels."""
    whole = torch.compile
    backend = "aot_eager_decomp_partition"
    monkeypatch.setattr(
        torch, "compile", lambda module, **_: whole(module, backend=backend, dynamic=False, fullgraph=True)
    )


def kl_by_torch(state: State) -> Tensor:
    """KL (B, D) of a run with normal latents and the standard prior, by torch's own distributions."""
    q = state[posterior_key()]
    return kl_divergence(Normal(q.mu, (q.logvar / 2).exp()), Normal(torch.zeros(()), torch.ones(())))


def weights(engine: Engine) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in engine.objective.state_dict().items()}


def trained(engine: Engine, steps: int = 3) -> Engine:
    for _ in range(steps):
        engine.train_step()
    return engine


# Measured apart from trained.


@pytest.mark.parametrize("node", [SQUARES, {"own": SQUARES}, {"_target_": "own_terms.Relabelled"}], ids=str)
def test_an_own_term_changes_neither_kl_nor_elbo(run: Make, node: Node) -> None:
    own, plain = run(node), run(KL)
    own.objective.model.load_state_dict(plain.objective.model.state_dict())
    found, expected = own.validate(), plain.validate()
    for name in ("neg_elbo", "bits_per_dim", "recon", "kl", "active_units"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6), name
    assert found["kl_dims"] == pytest.approx(expected["kl_dims"], rel=1e-5, abs=1e-9)
    assert found["loss"] != pytest.approx(expected["loss"], rel=1e-3)


def test_an_own_term_is_logged_apart_under_its_name(run: Make) -> None:
    state = run({"own": SQUARES, "kl": KL | {"_target_": "vae_runner.divergence.beta_kl", "beta": 4.0}}).train_step()
    metrics, kl = state[METRICS], kl_by_torch(state).detach()
    squares = 100 * state[posterior_key()].mu.detach().square().sum(1).mean()
    torch.testing.assert_close(metrics["own/divergence"], squares)
    torch.testing.assert_close(metrics["kl/divergence"], 4 * kl.sum(1).mean())
    torch.testing.assert_close(metrics["kl"], kl.sum(1).mean())
    torch.testing.assert_close(metrics["kl_dims"], kl.mean(0))
    torch.testing.assert_close(state[LOSS].detach(), metrics["recon"] + squares + 4 * kl.sum(1).mean())
    assert {name: float(value) for name, value in state[SCHEDULED].items() if name != "lr"} == {
        "own/beta": 1, "kl/beta": 4,
    }  # fmt: skip


@pytest.mark.slow
def test_the_best_checkpoint_is_that_of_the_measured_elbo(run: Make, tmp_path: Path) -> None:
    engine = run(SQUARES, "engine.steps=6", "engine.validate_every=2", "visualisation=[]", folder=tmp_path)
    engine.run()
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    validated = [record for record in records if record["split"] == "validation"]
    assert all(one["neg_elbo"] == pytest.approx(one["recon"] + one["kl"]) for one in validated)
    (kept,) = [callback.best for callback in engine.callbacks if isinstance(callback, Checkpoints)]
    assert kept == min(one["neg_elbo"] for one in validated[1:])
    assert not any(one["loss"] == pytest.approx(one["neg_elbo"], rel=1e-4) for one in validated)


@pytest.mark.slow
def test_a_kl_is_computed_once_where_a_term_is_it(run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("vae_runner.divergence.kl.kl_divergence", lambda q, p: asked.append("term") or (q.mu - p.mu))
    monkeypatch.setattr("vae_runner.objective.elbo.kl_divergence", lambda q, p: asked.append("elbo") or (q.mu - p.mu))
    for node, expected in (
        (KL, ["term"]),
        ({"own": SQUARES, "kl": KL}, ["term"]),
        (SQUARES, ["elbo"]),
        (KL | {"samples": 3}, []),
    ):
        engine = run(node)
        asked.clear()
        engine.train_step()
        assert asked == expected


def test_an_estimated_kl_is_measured_by_the_draws_of_its_term(run: Make) -> None:
    state = run(KL | {"samples": 3}).train_step()
    assert state[METRICS]["kl"] == state[METRICS]["divergence"]
    assert state[METRICS]["kl"] != kl_by_torch(state).sum(1).mean()


def test_a_kl_to_another_prior_than_the_models_is_not_what_is_measured(run: Make) -> None:
    unit = {"_target_": "vae_runner.divergence.SimpleNormalUnitNormalKL"}
    state = run(unit, "distribution.prior.mu=3").train_step()
    q, p = state[posterior_key()], state[prior_key()]
    torch.testing.assert_close(state[METRICS]["kl"], kl_divergence(q, p).sum(1).mean().detach())
    torch.testing.assert_close(state[METRICS]["divergence"], kl_by_torch(state).sum(1).mean().detach())


def test_the_kl_the_other_way_round_is_not_what_is_measured(run: Make) -> None:
    model = run(KL, "distribution.prior.mu=3").objective.model
    x = torch.rand(4, 1, 16, 16)
    state = Objective(model, [ClosedFormKL(prior_key(), posterior_key())])(x, x)
    q, p = state[posterior_key()], state[prior_key()]
    torch.testing.assert_close(state[METRICS]["kl"], kl_divergence(q, p).sum(1).mean().detach())
    torch.testing.assert_close(state[METRICS]["divergence"], kl_divergence(p, q).sum(1).mean().detach())


def test_without_a_closed_form_the_decoded_sample_measures_and_nothing_is_drawn(
    run: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    engine = run(SQUARES, "distribution=laplace", GUMBEL)
    assert "KL(SimpleLaplace || Gumbel) has no closed form: it is measured by the one sample" in caplog.text
    state = engine.train_step()
    z, q = state[sample_key()], state[posterior_key()]
    log_q = -(z - q.loc).abs() / q.scale - (2 * q.scale).log()
    expected = (log_q + z + (-z).exp()).sum(1).mean()  # ln p = -z - e^-z
    torch.testing.assert_close(state[METRICS]["kl"], expected.detach())
    torch.testing.assert_close(state[LOSS].detach(), run(SQUARES, "distribution=laplace").train_step()[LOSS].detach())


def test_the_sample_in_the_state_is_the_one_that_is_decoded(run: Make) -> None:
    objective, decoded = run(KL, "distribution=mixed").objective, []
    objective.model.decoder.register_forward_pre_hook(lambda _, given: decoded.append(given[0]))
    state = objective(torch.rand(4, 1, 16, 16), torch.rand(4, 1, 16, 16))
    codes = state[sample_key(0)], state[sample_key(1)]
    assert [z.shape[1] for z in codes] == objective.model.latent_dims
    assert torch.equal(torch.cat(codes, 1), decoded[0])


def test_no_term_takes_the_name_of_what_is_measured(run: Make) -> None:
    with pytest.raises(ValueError, match="Impostor logs 'kl', which is the runner's own; give it another name"):
        run({"_target_": "own_terms.Impostor"}).train_step()
    assert "kl" not in Impostor(posterior_key()).schedules()


# What a term is told.


def test_a_term_is_told_the_facts_that_it_asks_for(run: Make) -> None:
    engine = run({"kl": KL, "seen": WITNESS}, "distribution=mixed", "dataset.validation=50")
    seen = engine.objective.divergences[-1]
    assert seen.told == ([sample_key(0), sample_key(1)], sum(engine.objective.model.latent_dims), 150, 16)
    assert seen.name == "seen/"  # once, over all spaces
    critics = run(CRITIC, "distribution=mixed").objective.divergences
    assert [critic.net[0].in_features for critic in critics] == engine.objective.model.latent_dims
    assert [critic.keys["z"] for critic in critics] == [sample_key(0), sample_key(1)]


FORMS = [
    ({"kl": KL, "own": SQUARES}, 1, ["kl/", "own/"]),
    ({"space0": KL}, 1, [""]),
    ({"space0": {"kl": KL, "own": SQUARES}}, 1, ["kl/", "own/"]),
    (KL, 2, ["space0/", "space1/"]),
    ({"space0": KL, "space1": SQUARES}, 2, ["space0/", "space1/"]),
    ({"space1": SQUARES, "space0": KL}, 2, ["space1/", "space0/"]),
    ({"kl": KL}, 2, ["space0/kl/", "space1/kl/"]),
    ({"space0": {"kl": KL, "own": SQUARES}, "space1": KL}, 2, ["space0/kl/", "space0/own/", "space1/"]),
    ({"space0": KL, "space1": KL, "own": SQUARES}, 2, ["space0/", "space1/", "space0/own/", "space1/own/"]),
    ({"space0": KL, "space1": KL, "all": WITNESS}, 2, ["space0/", "space1/", "all/"]),
    (WITNESS, 2, [""]),
]


@pytest.mark.parametrize(("node", "spaces", "names"), FORMS, ids=str)
def test_terms_are_one_or_one_a_space_or_a_set(run: Make, node: Node, spaces: int, names: list[str]) -> None:
    engine = run(node, *(["distribution=mixed"] if spaces == 2 else []))
    assert [term.name for term in engine.objective.divergences] == names
    metrics = engine.train_step()[METRICS]
    assert {f"{name}divergence" for name in names} == {name for name in metrics if name.endswith("divergence")}
    measured = (
        {"kl", "kl_dims"} if spaces == 1 else {"kl", *(f"space{i}/{n}" for i in (0, 1) for n in ("kl", "kl_dims"))}
    )
    assert {name for name in metrics if name.endswith(("kl", "kl_dims"))} == measured
    assert engine.schedules(torch.arange(2)).keys() >= {f"{name}beta" for name in names}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("node", "spaces", "line"),
    [
        ({"kl": KL, "own": SQUARES | {"wieght": 1}}, 1,
         "no setting called 'divergence.own.wieght'. Did you mean divergence.own.weight?"),
        (SQUARES | {"input_key": 1}, 1,
         "divergence.input_key follows from the data and the other settings; it cannot be set"),
        (SQUARES | {"batch_size": 1}, 1, "no setting called 'divergence.batch_size'. Did you mean divergence.weight?"),
        ({"_target_": "own_terms.Wanting"}, 1,
         "divergence.num_pixels is missing; set divergence.num_pixels=...; the facts that a term is given are "
         "batch_size, dims, input_key, input_keys, num_images, sample_key, sample_keys, target_key, target_keys"),
        ({"_target_": "own_terms.Torn"}, 1,
         "divergence asks for input_key and sample_keys: a term is of one latent space, or over all of them"),
        ({"kl": 4.0}, 1, "divergence.kl: expected an option of its group, got 4.0"),
        ({}, 1, "divergence is empty: choose an option of its group"),
        ({"space0": {}, "space1": KL}, 2, "divergence.space0 is empty: choose an option of its group"),
        ({"space0": KL, "own": SQUARES}, 2,
         "divergence has 1 parts, but distribution has 2: each latent space needs one"),
        ({"space0": KL, "space2": KL}, 2, "divergence has 2 parts, but distribution has 2: they are space0 to space1"),
        ({"space0": {"all": WITNESS}, "space1": KL}, 2,
         "divergence.space0.all is over all latent spaces: put it beside space0, with a name"),
        ({"space0": {"kl": KL}, "space1": KL, "kl": KL}, 2,
         "divergence.space0.kl and divergence.kl would both be called space0/kl in the log; give one another name"),
        ({"a/b": KL}, 1,
         "divergence.a/b: a term's name is a letter with letters, digits and _ behind it, and not space0"),
        ({"space0": {"space1": KL}}, 1,
         "divergence.space0.space1: a term's name is a letter with letters, digits and _ behind it, and not space0"),
    ],
    ids=str,
)  # fmt: skip
def test_terms_that_do_not_fit_are_told_in_one_line(
    checked: Callable[..., tuple[dict[str, Any], list[str]]], node: Node, spaces: int, line: str
) -> None:
    assert checked(node, *(["distribution=mixed"] if spaces == 2 else []))[1] == [line]


def test_what_is_no_term_is_refused(run: Make) -> None:
    with pytest.raises(UserError, match=r"divergence\.a: torch\.nn\.Identity makes a Identity, and no DivergenceBase"):
        run({"a": {"_target_": "torch.nn.Identity"}})


# Weights of a term's own.


def test_a_term_trains_its_own_weights_and_the_model_meets_them_frozen(run: Make) -> None:
    engine = run({"kl": KL, "tc": CRITIC})
    state = engine.train_step()
    critic = engine.objective.divergences[1]
    objective = run({"kl": KL, "tc": CRITIC}).objective
    objective.load_state_dict(engine.objective.state_dict())
    x = torch.rand(8, 1, 16, 16)

    def gradients(key: Callable[[State], Tensor]) -> dict[str, Tensor | None]:
        torch.manual_seed(0)
        objective.zero_grad()
        key(objective(x, x)).backward()
        return {name: weight.grad for name, weight in objective.named_parameters()}

    of_loss, of_own = gradients(lambda state: state[LOSS]), gradients(lambda state: state[OWN_LOSS])
    both = gradients(lambda state: state[LOSS] + state[OWN_LOSS])
    for name in both:
        mine, other = (of_own, of_loss) if "net" in name else (of_loss, of_own)
        assert other[name] is None, name
        torch.testing.assert_close(both[name], mine[name], rtol=1e-6, atol=1e-9)
    assert isinstance(critic, Critic)
    assert state[METRICS].keys() >= {"tc/tc", "tc/d_loss", "tc/divergence"}
    torch.testing.assert_close(
        state[METRICS]["loss"],
        state[METRICS]["recon"] + state[METRICS]["kl/divergence"] + state[METRICS]["tc/divergence"],
    )


def test_own_weights_follow_their_own_settings_and_no_schedule(run: Make) -> None:
    engine = run({"kl": KL, "tc": CRITIC | {"lr": 0.02, "settings": {"betas": [0.5, 0.9]}}}, "lr_schedule=linear")
    model, own = engine.optimizer.param_groups
    assert set(map(id, own["params"])) == set(map(id, engine.objective.divergences[1].parameters()))
    assert len(model["params"]) + len(own["params"]) == len(list(engine.objective.parameters()))
    assert list(own["betas"]) == [0.5, 0.9]
    rates = []
    for _ in range(3):
        engine.train_step()
        rates.append((model["lr"], own["lr"]))
    assert [rate for _, rate in rates] == [0.02] * 3
    assert rates[0][0] > rates[1][0] > rates[2][0]


@pytest.mark.parametrize(
    ("settings", "choice", "line"),
    [
        ({"betas": [0.5, 0.9]}, "adagrad",
         r"divergence\.tc sets betas for its own weights, which torch\.optim\.Adagrad does not know; it .*lr"),
        ({"betta": 1}, "adam", r"divergence\.tc sets betta for its own weights, which torch\.optim\.Adam does not"),
        ({"lr": -1.0}, "adam", r"torch\.optim\.Adam: Invalid learning rate: -1\.0"),
    ],
)  # fmt: skip
def test_settings_that_the_optimiser_does_not_have_are_refused(
    run: Make, settings: dict[str, Any], choice: str, line: str
) -> None:
    with pytest.raises(UserError, match=line) as refused:
        run({"kl": KL, "tc": CRITIC | {"settings": settings}}, f"optimizer={choice}")
    assert "\n" not in str(refused.value)


def test_weights_that_are_not_the_terms_own_are_refused(run: Make) -> None:
    class Thief(MeanSquares):
        def parameter_groups(self) -> list[dict[str, Any]]:
            return [{"params": [nn.Parameter(torch.zeros(1))]}]

    objective = Objective(run(KL).objective.model, [Thief(posterior_key())])
    with pytest.raises(ValueError, match=r"Thief\.parameter_groups has weights that are not the term's own"):
        objective.parameter_groups()


def test_an_optimiser_that_would_lose_a_terms_settings_is_refused(run: Make) -> None:
    objective = run({"kl": KL, "tc": CRITIC}).objective
    with pytest.raises(ValueError, match=r"make the optimiser of objective\.parameter_groups\(\)"):
        Rates(objective, torch.optim.Adam(objective.parameters()))
    Rates(objective, torch.optim.Adam(objective.parameter_groups()))


def test_each_players_gradients_are_clipped_apart(run: Make) -> None:
    def norms(engine: Engine) -> list[float]:
        engine.train_step()
        return [
            float(torch.cat([one.grad.flatten() for one in player]).norm()) for player in engine.objective.players()
        ]

    node = {"kl": KL, "tc": CRITIC | {"settings": {"weight_decay": 0.0}}}
    model, critic = norms(run(node))
    assert critic < model / 10
    limit = critic * 2
    clipped = norms(run(node, f"engine.clip_norm={limit}"))
    assert clipped == pytest.approx([limit, critic], rel=1e-4)


@pytest.mark.parametrize("which", ["loss", "own"])
def test_what_is_not_finite_in_either_players_loss_leaves_the_step_out(run: Make, which: str) -> None:
    engine = run({"kl": KL, "tc": CRITIC}, "engine.on_nonfinite=skip")
    trained(engine, 2)
    before = weights(engine)
    critic = engine.objective.divergences[1]
    name = "own_loss" if which == "own" else "loss"
    whole = getattr(critic, name)
    setattr(critic, name, lambda state: whole(state) * math.nan)
    engine.train_step()
    setattr(critic, name, whole)
    after = weights(engine)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"divergences.0.step", "divergences.1.step"}
    assert engine.skipped == 1


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_run_with_own_weights_is_the_unbroken_one(run: Make, precision: str, tmp_path: Path) -> None:
    arguments = ("engine.steps=40", "engine.checkpoint_every=20", "lr_schedule=cosine", "visualisation=[]")
    arguments += (f"engine.precision={precision}", "engine.clip_norm=50", "engine.threads=1")
    node = {"kl": KL, "own": SQUARES, "tc": CRITIC}
    unbroken = run(node, *arguments, folder=tmp_path / "a")
    with unbroken.session():
        for _ in range(20):
            unbroken.advance()
    content = load_latest(tmp_path / "a" / "checkpoints")
    assert content["step"] == 20
    with unbroken.session():
        for _ in range(20):
            unbroken.advance()
    resumed = run(node, *arguments, folder=tmp_path / "b")
    resumed.load_state_dict(content)
    with resumed.session():
        for _ in range(20):
            resumed.advance()
    one, other = weights(unbroken), weights(resumed)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["divergences.2.net.0.weight"], content["objective"]["divergences.2.net.0.weight"])


# Where bf16 is emulated, compiled kernels keep between two operations what the layers one by one round.
BF16 = 1e-3 if choose_precision("auto", torch.device("cpu")) == "bf16" else 5e-3


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-5), ("bf16", BF16)])
def test_terms_with_and_without_own_weights_compile_as_one_graph(
    precision: str, near: float, run: Make, graphs_alone: None, caplog: pytest.LogCaptureFixture
) -> None:
    node = {"kl": KL, "own": SQUARES, "tc": CRITIC, "all": WITNESS}
    settings = ("engine.threads=1", f"engine.precision={precision}")
    compiled, plain = run(node, *settings, "engine.compile=true"), run(node, *settings, "engine.compile=false")
    compiled.prepare()
    found, expected = ([engine.train_step() for _ in range(4)] for engine in (compiled, plain))
    assert "going on without" not in caplog.text
    for one, other in zip(found, expected, strict=True):
        for name, value in other[METRICS].items():
            torch.testing.assert_close(one[METRICS][name], value, rtol=near, atol=near, msg=name)


def test_a_terms_arithmetic_is_in_float32_whatever_the_networks(run: Make) -> None:
    seen = []
    engine = run({"kl": KL, "tc": CRITIC}, "engine.precision=bf16")
    net = engine.objective.divergences[1].net
    net.register_forward_hook(lambda *given: seen.append(given[2].dtype))
    engine.train_step()
    assert seen == [torch.float32] * 2
