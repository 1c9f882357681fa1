"""Sets of terms that are put together on the command line: divergence=sum."""

import csv
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from test_cli import Run, toy, vae_train

from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.precheck import composer, precheck
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.state import METRICS

__all__ = ["vae_train"]  # a fixture
DOCS = (Path(__file__).parent.parent / "docs/objectives.md").read_text()
PRINTED = [
    shlex.split(line)
    for line in re.findall(r"^\$ vae-train (.*)$", DOCS, re.M)
    if line.startswith("divergence=sum")  # as it is printed
]
ADD = "+divergence@divergence."


@pytest.fixture
def judged() -> Callable[..., DictConfig]:
    """judged(*arguments) -> the config that a command line comes to."""

    def judge(*arguments: str) -> DictConfig:
        request = read_arguments(list(arguments))
        with composer(request) as configs:
            return precheck(request, configs)

    return judge


@pytest.mark.parametrize("arguments", PRINTED, ids=" ".join)
def test_a_sum_trains_as_it_is_printed(arguments: list[str], experiment: Callable[..., Engine]) -> None:
    """The loss is the reconstruction and all the terms, and each term is told by its name."""
    engine = experiment(*arguments, "architecture=mlp", "visualisation=[]")
    metrics = engine.train_step()[METRICS]
    names = {name.partition("/")[0] for name in metrics if name.endswith("/divergence")}
    expected = {"dip", "mmd"} | set(re.findall(r"\+divergence@divergence\.(\w+)=", " ".join(arguments)))
    assert names == expected - set(re.findall(r"~divergence@divergence\.(\w+)", " ".join(arguments)))
    total = metrics["recon"] + sum(metrics[f"{name}/divergence"] for name in names)
    torch.testing.assert_close(metrics["loss"], total)


def test_what_is_printed_covers_the_ways_to_put_a_sum_together() -> None:
    assert len(PRINTED) == 4
    assert {argument[0] for arguments in PRINTED for argument in arguments} >= {"+", "~", "d", "s"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["divergence=sum", f"{ADD}tc=beta_tc", f"{ADD}tc=info"], "divergence.tc is chosen twice; "),
        (["divergence=sum", f"{ADD}dip=dip_i"], "divergence.dip is chosen twice; "),
        (["divergence=sum", f"{ADD}dip=dip_ii"], "divergence.dip is chosen twice; "),
        (["divergence=sum", f"{ADD}tc=[kl,beta]"], f"{ADD.lstrip('+')}tc takes one option, got [kl,beta]; "),
        (["architecture=[conv,mlp]"], "architecture takes one option, got [conv,mlp]; "),
        (["divergence=sum", f"{ADD}tc=beta_tcc"],
         "no divergence called 'beta_tcc'. Did you mean divergence@divergence.tc=beta_tc?"),
        (["divergence=sum", "divergence@divergence.tc=beta_tc"], "there is no term divergence.tc to replace; with a +"),
        (["divergence=sum", "~divergence@divergence.tc"], "there is no term divergence.tc to leave out"),
        (["divergence=kl", f"{ADD}tc=beta_tc"],
         f"{ADD}tc=beta_tc is added to divergence, which is one term; divergence=sum is a set of them"),
        (["--multirun", "divergence=sum,kl", f"{ADD}tc=beta_tc"],
         f"{ADD}tc=beta_tc is added to divergence, which is one term; divergence=sum is a set of them"),
        (["divergence=sum", f"{ADD}dip.more=kl"], f"{ADD}dip.more=kl is added to divergence.dip, which is one term"),
        (["divergence=sum", f"{ADD}tc=beta_tc", "divergence.tc.estimatr=3"],
         "no setting called 'divergence.tc.estimatr'. Did you mean divergence.tc.estimator?"),
        (["--multirun", "divergence=sum", "divergence@divergence.dip=dip_i,dip_ii", "divergence@divergence.dip=info"],
         "divergence@divergence.dip is given twice, once with several values; give all of them at once"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_sum_is_told_in_one_line(
    arguments: list[str], line: str, judged: Callable[..., DictConfig]
) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(line)}") as caught:
        judged(*arguments)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_a_sum_in_a_sweep_trains_and_is_compared_with_other_divergences(vae_train: Run, inside: Path) -> None:
    quick = ("engine.steps=4", "engine.threads=1", "visualisation=[]", "evaluation=none")
    small = [setting for setting in toy(*quick) if not setting.startswith("divergence=")]
    code, _, errors = vae_train(*small, "--multirun", "divergence=sum,beta", "hydra.sweep.dir=sweep")
    assert (code, errors) == (0, "")
    with Path("sweep/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["done", "done"]
    assert [row["best"] for row in rows].count("best") == 1  # of one measure, whatever each was trained by
    logs = [(run / "metrics.jsonl").read_text() for run in sorted(Path("sweep").glob("[01]-*"))]
    own = [{"dip/divergence", "mmd/divergence", "mmd/mmd"} <= set(json.loads(log.splitlines()[0])) for log in logs]
    assert own == [True, False]
