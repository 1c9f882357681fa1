"""`vae-data check` and `show`: the data that `vae-train` would get, without training; `vae-data stores`: what is kept.

Exit codes: 0 all is well, 1 there are files that cannot be read, or not be used so, 2 a mistake in the request, 141
nobody reads what is printed.
"""

import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vae_runner.cli import exit_code_of
from vae_runner.errors import UserError
from vae_runner.output import to_stdout

__all__ = ["main"]

HELP = """\
vae-data: look at the images of a data set before training on them, and at the prepared stores

usage:  vae-data check dataset=OPTION [dataset.SETTING=VALUE ...]
        vae-data show dataset=OPTION [dataset.SETTING=VALUE ...] [--out FILE.png]
        vae-data stores [--remove KEY | --older-than DAYS | --all] [dataset.cache_dir=DIR]

examples:
  vae-data check dataset=folder dataset.root=photos
  vae-data check dataset=celeba dataset.root=img_align_celeba.zip
  vae-data check dataset=celeba_hq dataset.root=DIR dataset.as_npy=true dataset.limit=1000
  vae-data check dataset=shapes3d                 # rendered, or the published file
  vae-data check --config-dir mine dataset=own    # a data set of your own, or dataset=torch
  vae-data show dataset=shapes3d                  # some of its images, and how many there are of each class
  vae-data stores                    # prepared images: key, size, images, last used, source
  vae-data stores --remove 3f09      # the one whose key begins like that
  vae-data stores --older-than 30    # all that were not used for 30 days; --all: all

check: every file is read and decoded once, as training would: how many there are, in which folders, their sizes,
formats and modes, how bright those of more than 8 bits are, duplicates, files that are left out, files that cannot be
read and why, the size of the prepared store and the time to make it. Of a set without files every image is looked at:
how many, their shape, their values. Nothing is written. The settings are those of
vae-train, see vae-train --help.

show: writes data.png, or FILE: some of the images that a run would train on, and a histogram of each known factor.

stores: one that a run is using, or preparing, is kept.

Exit codes: 0 all is well, 1 files cannot be read (and dataset.skip_bad is off), or not be used with these settings, or
a store is in use, 2 a mistake in the request, 141 nobody reads what is printed."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says, and exit."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    return exit_code_of("vae-data", lambda: _command(arguments))


def _command(arguments: list[str]) -> int:
    if {"--help", "-h"} & set(arguments) or not arguments:
        print(HELP)
        return 0
    if "--version" in arguments:
        from vae_runner import __version__

        print(f"vae-data {__version__}")
        return 0
    command, *rest = arguments
    if command == "stores":
        from vae_runner.cli.stores import stores

        return stores(rest)
    if command == "check":
        return _check(rest)
    if command == "show":
        return _show(rest)
    raise UserError(f"no command called {command!r}; there are: vae-data check dataset=folder dataset.root=DIR, "
                    "vae-data show, and vae-data stores")  # fmt: skip


def _show(rest: list[str]) -> int:
    file, rest = _out(rest)
    from vae_runner.cli.arguments import read_arguments
    from vae_runner.cli.precheck import composer, precheck
    from vae_runner.experiment.checking.data_sheet import sheet
    from vae_runner.files import write_atomically

    request = read_arguments(rest)
    with composer(request) as compose:
        config = precheck(request, compose).config
    picture, buffer = sheet(config["dataset"]), io.BytesIO()
    picture.save(buffer, "PNG")
    write_atomically(file, buffer.getvalue())
    to_stdout(f"{file}  {picture.width}x{picture.height}")
    return 0


def _out(rest: list[str]) -> tuple[Path, list[str]]:
    """The file to write to, and the other arguments. Raises `UserError` where it is none."""
    name, others = "data.png", list(rest)
    for place, argument in enumerate(rest):
        flag, equals, value = argument.partition("=")
        if flag == "--out":
            name = value if equals else "".join(rest[place + 1 : place + 2])
            others = rest[:place] + rest[place + (1 if equals else 2) :]
            break
    file = Path(name).expanduser()
    if file.suffix.lower() != ".png" or not file.parent.is_dir():
        raise UserError(f"--out {name}: give a file that ends in .png, in a folder that is there")
    return file, others


def _check(rest: list[str]) -> int:
    from vae_runner.cli.arguments import read_arguments
    from vae_runner.cli.precheck import composer, precheck
    from vae_runner.datasets.photos.doctor import examine
    from vae_runner.datasets.photos.image_folder import SimpleImageFolder
    from vae_runner.datasets.split import limited
    from vae_runner.experiment.assemble import build_set, split_config
    from vae_runner.experiment.checking.survey import survey

    request = read_arguments(rest)
    with composer(request) as compose:
        config = precheck(request, compose).config
    node = config["dataset"]
    data = limited(build_set(node), split_config(node))
    if not isinstance(data, SimpleImageFolder):
        print(*survey(data, config), *_of_parts(node), sep="\n")
        return 0
    found = examine(data)
    for line in found.describe(data):
        to_stdout(line)
    return 1 if found.refused or (found.bad and not data.settings.skip_bad) else 0


def _of_parts(node: dict[str, Any]) -> Iterator[str]:
    """Which images are trained on and measured, where this is constrained."""
    from vae_runner.datasets.split import split
    from vae_runner.experiment.assemble import build_set, split_config
    from vae_runner.runs.words import images

    config = split_config(node)
    if config.held_out or config.correlated:
        parts = split(build_set(node), config)
        yield f"constrained {images(len(parts.train.data), *map(len, parts))}"
        yield f"their mark  {parts.mark()}"


if __name__ == "__main__":
    main()
