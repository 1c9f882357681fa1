"""From a checked config to live objects."""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from vae_runner.auto_encoder import VAE
from vae_runner.corruption import Clean, Corruption
from vae_runner.datasets.base import ImageData
from vae_runner.datasets.completion import completed
from vae_runner.datasets.split import Parts, SplitConfig, split
from vae_runner.divergence import DivergenceBase
from vae_runner.engine import Engine, EngineConfig
from vae_runner.errors import UserError
from vae_runner.experiment.building import build
from vae_runner.experiment.checking.check import spaces_of
from vae_runner.experiment.checking.probe import check_kinds, check_model, probe
from vae_runner.experiment.checking.term_trial import check_learned, check_recons, pair_name, try_term
from vae_runner.experiment.checking.terms import Term, placed, taken_facts, term_nodes
from vae_runner.experiment.kept_sets import kept_or_built
from vae_runner.experiment.notices.estimate import memory_room
from vae_runner.experiment.run_callbacks import build_callbacks
from vae_runner.latent_space import LatentSpace
from vae_runner.learned_prior import LearnedPrior
from vae_runner.objective import Objective
from vae_runner.objective.facts import Facts
from vae_runner.randomness import isolated, seed_for
from vae_runner.ranks import ALONE, Ranks
from vae_runner.signature import locate, parameters

__all__ = ["assemble", "build_corruption", "build_data", "build_model", "build_objective", "build_set"]
__all__ += ["set_settings", "split_config"]

log = logging.getLogger(__name__)


def assemble(
    config: dict[str, Any],
    folder: Path | None = None,
    stop_signal: Callable[[], int | None] = lambda: None,
    data: Parts | None = None,
    ranks: Ranks = ALONE,
) -> Engine:
    """The engine of a checked config; with a `folder`, it writes its logs, pictures and checkpoints there. `data` are
    the images, where they have been looked up already; `ranks` what this process is to others that train with it.

    What the config leaves to the data is filled in: the length of the learning rate's schedule.
    """
    settings = EngineConfig(**config["engine"])
    train, validation, test = data or build_data(config["dataset"])
    objective = build_objective(config, train.data.image_shape, len(train))
    optimizer = build_optimizer(config["optimizer"], objective)
    engine = Engine(
        settings,
        objective,
        optimizer,
        train,
        validation,
        stop_signal=stop_signal,
        corruption=build_corruption(config),
        test=test,
        augmentation=build(config["augmentation"]) if "augmentation" in config else None,  # older runs have none
        ranks=ranks,
    )
    probe(engine, config)
    if config["lr_schedule"].get("steps", 0) is None:  # kept in the config: a resumed run that is longer keeps its rate
        config["lr_schedule"]["steps"] = engine.total_steps
    engine.lr_schedule = build(config["lr_schedule"])
    if folder is not None:
        engine.callbacks = build_callbacks(config, settings, folder, objective.model, train.data)
    return engine


def build_data(node: Mapping[str, Any]) -> Parts:
    """The training, the validation and the test images."""
    return split(build_set(node), split_config(node))


def split_config(node: Mapping[str, Any]) -> SplitConfig:
    """Which images of the set are chosen, and which of these are held back and set aside."""
    return SplitConfig(**{name: value for name, value in node.items() if name in SplitConfig.__dataclass_fields__})


def build_set(node: Mapping[str, Any]) -> ImageData:
    """All images of a data set, before any are chosen. Raises `UserError` where it is no data set."""
    settings = set_settings(node)
    return kept_or_built(settings, lambda: completed(build(settings)))


def set_settings(node: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the set itself."""
    return {name: value for name, value in node.items() if name not in SplitConfig.__dataclass_fields__}


def build_objective(config: Mapping[str, Any], image_shape: tuple[int, int, int], num_images: int) -> Objective:
    """The model for so many training images of that shape, and the terms of its loss; the weights depend on the seed
    alone.

    Raises `UserError` where the weights alone take more memory than there is.
    """
    with isolated(seed_for(config["engine"]["seed"], "weights")):
        model = build_model(config, image_shape)
        if any(space.pseudo_inputs is not None for space in model.spaces):
            check_model(model, image_shape, config)  # their priors ask the encoder before `probe` does
        facts = Facts(tuple(model.latent_dims), num_images, config["engine"]["batch_size"])
        pairs, terms = model.pairs(), {}
        for term in term_nodes(config["divergence"]):
            for name, space_id in placed(term, len(pairs)):
                terms[name] = build_term(term, space_id, facts)
                try_term(terms[name], term.key, pairs, space_id)
        check_recons(terms)
        check_learned(terms, pairs)
        objective = Objective(model, terms)
    for space_id in objective.sampled_spaces():
        log.info("%s has no closed form: it is measured by the one sample that is decoded", pair_name(pairs[space_id]))
    return objective


def build_model(config: Mapping[str, Any], image_shape: tuple[int, int, int]) -> VAE:
    """The model for images of that shape, with weights drawn from torch's generator. Raises as `build_objective`."""
    _refuse_absurd(config, image_shape)
    spaces = _spaces(config, image_shape)
    encoder, decoder, likelihood = _networks(config, image_shape, sum(space.dims for space in spaces))
    check_kinds(config, architecture_encoder=encoder, architecture_decoder=decoder)
    return VAE(encoder, spaces, decoder, likelihood)


def _learned_priors(nodes: Iterable[Mapping[str, Any]], image_shape: tuple[int, int, int]) -> list[LearnedPrior]:
    """The priors that learn, of these latent spaces, for images of that shape."""
    priors = []
    for node in nodes:
        prior = node.get("prior")
        if prior is not None and _learns(locate(prior["_target_"])):
            priors.append(build(prior))
            priors[-1].made_for(node["dims"])
            priors[-1].made_for(node["dims"], image_shape)
    return priors


def _learns(target: Any) -> bool:
    return isinstance(target, type) and issubclass(target, LearnedPrior)


def _spaces(config: Mapping[str, Any], image_shape: tuple[int, int, int]) -> list[LatentSpace]:
    nodes = spaces_of(config["distribution"]).items()
    spaces: list[LatentSpace] = [build(node, f"distribution.{name}".rstrip(".")) for name, node in nodes]
    for space in spaces:
        check_kinds(config, distribution=space)
        space.see(image_shape)
    return spaces


def build_optimizer(node: Mapping[str, Any], objective: Objective) -> torch.optim.Optimizer:
    """The optimiser of all weights; those that a term has settings for are groups of their own.

    Raises `UserError` where it knows no such setting, or refuses its value.
    """
    optimizer: torch.optim.Optimizer = build(node, params=objective.parameter_groups()[0]["params"])
    for term in objective.divergences:
        for group in term.own_groups():
            settings = {name: value for name, value in group.items() if name != "params"}
            if unknown := sorted(settings.keys() - optimizer.defaults.keys()):
                key = ".".join(["divergence", *term.name.split("/")[:-1]])
                raise UserError(
                    f"{key} sets {', '.join(unknown)} for its own weights, which {node['_target_']} does not know; "
                    f"it knows {', '.join(sorted(optimizer.defaults))}"
                )
            build({**node, **settings}, params=[torch.nn.Parameter(torch.zeros(1))])  # it judges values here alone
            optimizer.add_param_group(group)
    return optimizer


def build_corruption(config: Mapping[str, Any]) -> Corruption:
    """What makes the model's input from the clean images."""
    return build(config["corruption"]) if "corruption" in config else Clean()  # older runs have none


def _networks(config: Mapping[str, Any], image_shape: tuple[int, int, int], dims: int) -> tuple[Any, Any, Any]:
    """The encoder, the decoder for that many latents, and the likelihood."""
    likelihood = build(config["likelihood"], **_taken(config["likelihood"], num_channels=image_shape[0]))
    check_kinds(config, likelihood=likelihood)
    channels, *size = image_shape
    encoder = build(config["architecture"]["encoder"], image_shape=image_shape)
    shape = (channels * likelihood.channels_per_channel, *size)
    return encoder, build(config["architecture"]["decoder"], latent_dim=dims, image_shape=shape), likelihood


def _refuse_absurd(config: Mapping[str, Any], image_shape: tuple[int, int, int]) -> None:
    """Count the weights where they take no memory: a part that cannot be made there is judged when it is made."""
    try:
        with torch.device("meta"), isolated(0):
            nodes = spaces_of(config["distribution"]).values()
            encoder, decoder, _ = _networks(config, image_shape, sum(node["dims"] for node in nodes))
            parts = [encoder, decoder, *_learned_priors(nodes, image_shape)]
            count = sum(weights.numel() for part in parts for weights in part.parameters())
    except Exception:
        return
    room = memory_room(torch.device("cpu"))
    if room is not None and 4 * count > room:
        raise UserError(
            f"the model has {count:,} parameters, {4 * count / 1e9:,.0f} GB, and this machine {room / 1e9:,.0f} GB of "
            "memory; make distribution.dims or the architecture smaller"
        )


def _taken(node: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """Those facts of the data that the node's target has an argument for."""
    accepted = parameters(locate(node["_target_"]))
    return {name: fact for name, fact in facts.items() if name in accepted}


def build_term(term: Term, space_id: int | None, facts: Facts) -> DivergenceBase:
    """A term of the loss, of one latent space or, where it has none, over all of them."""
    known = facts.of_all() if space_id is None else facts.of_space(space_id)
    taken = taken_facts(locate(term.node["_target_"]))
    made = build(term.node, term.key, **{fact: value for fact, value in known.items() if fact in taken})
    if not isinstance(made, DivergenceBase):
        raise UserError(f"{term.key}: {term.node['_target_']} makes a {type(made).__name__}, and no DivergenceBase")
    return made
