"""`dataset=OPTION` of `vae-evaluate`, with its settings, composed and judged as those of `vae-train` are."""

from collections.abc import Sequence

from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.precheck import composer, precheck
from vae_runner.datasets.split import Parts
from vae_runner.engine import choose_device
from vae_runner.experiment.assemble import build_data
from vae_runner.experiment.checking.probe import check_images
from vae_runner.experiment.scoring.other_data import OtherData

__all__ = ["other_data"]


def other_data(settings: Sequence[str], device: str) -> OtherData:
    """The data set that the settings say: dataset=OPTION, dataset.SETTING=VALUE, --config-dir.

    Raises `UserError` with a line for each mistake, and where it has no images.
    """
    request = read_arguments(list(settings))
    with composer(request) as compose:
        checked = precheck(request, compose)
    name = str(checked.cfg.hydra.runtime.choices.dataset)
    node = checked.config["dataset"]
    parts = build_data(node)
    for part in filter(len, parts):
        check_images(part, {"dataset": node})
    return OtherData(name, Parts(*(part.to(choose_device(device)) for part in parts)))
