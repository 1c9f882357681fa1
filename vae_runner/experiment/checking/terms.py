"""The terms of a config's `divergence`: one node, for every latent space; one for each of them; or a set with names.

    divergence: {_target_: ...}                                        one term
    divergence: {space0: {_target_: ...}, space1: {_target_: ...}}     one term for each space
    divergence: {kl: {_target_: ...}, tc: {_target_: ...}}             a set of terms, by names that the log has
    divergence: {space0: {kl: ..., dip: ...}, space1: ..., tc: ...}    a set inside a space, and beside the spaces

A term over all spaces (`objective.facts`) is built once; any other one for each space that it is given for.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vae_runner.objective.elbo import space_prefix
from vae_runner.objective.facts import FACTS, is_over_all, mixed_facts
from vae_runner.signature import locate, parameters

__all__ = ["Term", "about_facts", "check_terms", "placed", "taken_facts", "term_nodes"]

SPACE = re.compile(r"space(0|[1-9]\d*)")
NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
ALWAYS = ("input_key", "target_key")  # of a target that takes whatever it is given


class Term(NamedTuple):
    """A term's node under its `key` in the config, its name in a set, and the space in which it stands."""

    key: str
    name: str
    space: int | None
    node: Any


def term_nodes(node: Any, key: str = "divergence", space: int | None = None) -> list[Term]:
    """Returns the terms of a `divergence` in their order; whatever is neither a term nor a set, as one."""
    if not isinstance(node, Mapping) or "_target_" in node or not node:
        return [Term(key, "", space, node)]
    terms = []
    for name, part in node.items():
        if space is None and (found := SPACE.fullmatch(str(name))):
            terms += term_nodes(part, f"{key}.{name}", int(found[1]))
        else:
            terms.append(Term(f"{key}.{name}", str(name), space, part))
    return terms


def placed(term: Term, spaces: int) -> list[tuple[str, int | None]]:
    """Returns the names of what is made of a term, and the latent space of each; None for a term over all."""
    if is_over_all(parameters(locate(term.node["_target_"]))):
        return [(term.name, None)]
    own = range(spaces) if term.space is None else [term.space]
    return [(f"{space_prefix(space, spaces)}{term.name}".rstrip("/"), space) for space in own]


def taken_facts(target: Any) -> frozenset[str]:
    """Returns the facts that the target has an argument for."""
    accepted = parameters(target)
    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter, _ in accepted.values())
    return frozenset(FACTS & {*accepted, *(ALWAYS if is_open else ())})


def check_terms(node: Any, spaces: int) -> Iterator[str]:
    """Yields a line for each mistake in how terms, each fit for itself, are put together for so many spaces."""
    terms = term_nodes(node)
    given = {term.space for term in terms if term.space is not None}
    if given and given != set(range(spaces)):
        wanted = "each latent space needs one" if len(given) != spaces else f"they are space0 to space{spaces - 1}"
        yield f"divergence has {len(given)} parts, but distribution has {spaces}: {wanted}"
        return
    owners: dict[str, str] = {}
    for term in terms:
        arguments = parameters(locate(term.node["_target_"]))
        if mixed := mixed_facts(arguments):
            yield f"{term.key} asks for {' and '.join(mixed)}: a term is of one latent space, or over all of them"
        elif term.space is not None and spaces > 1 and is_over_all(arguments):
            yield f"{term.key} is over all latent spaces: put it beside space{term.space}, with a name"
        if term.name and (SPACE.fullmatch(term.name) or not NAME.fullmatch(term.name)):
            yield f"{term.key}: a term's name is a letter with letters, digits and _ behind it, and not space0"
        for name, _ in placed(term, spaces):
            if owners.setdefault(name, term.key) != term.key:
                yield f"{owners[name]} and {term.key} would both be called {name} in the log; give one another name"


def about_facts(target: str) -> str:
    """What a term of one's own may have meant by an argument that nobody sets."""
    is_own = not target.startswith("vae_runner.")
    return f"; the facts that a term is given are {', '.join(sorted(FACTS))}" if is_own else ""
