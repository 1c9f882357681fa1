"""The images of a sweep's jobs, looked up before the first job: what is wrong with them is wrong with the request."""

from collections.abc import Iterable, Mapping
from typing import Any

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.split import split
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import build_set, set_settings, split_config

__all__ = ["look_at_data"]


def look_at_data(nodes: Iterable[Mapping[str, Any]]) -> None:
    """Build the data set of each `dataset` node, one for those that differ in the choice of images alone, and choose.

    Raises `UserError` with a line for each problem.
    """
    groups: list[tuple[dict[str, Any], list[Mapping[str, Any]]]] = []
    for node in nodes:
        settings = set_settings(node)
        alike = next((members for known, members in groups if known == settings), None)
        if alike is None:
            groups.append((settings, [node]))
        elif node not in alike:
            alike.append(node)
    problems = [problem for _, members in groups for problem in _problems(members)]
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))


def _problems(nodes: list[Mapping[str, Any]]) -> list[str]:
    """What is wrong with the set of these nodes, or with their choices of its images."""
    try:
        data = build_set(nodes[0])
    except UserError as error:
        return [str(error)]
    return [problem for node in nodes if (problem := _problem(data, node))]


def _problem(data: ImageData, node: Mapping[str, Any]) -> str | None:
    try:
        split(data, split_config(node))
    except UserError as error:
        return str(error)
    return None
