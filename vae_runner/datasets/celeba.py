"""CelebA: 202,599 aligned photographs of faces, 178x218, with official training, validation and test parts.

It is not fetched from here, for its licence has to be accepted: img_align_celeba.zip and list_eval_partition.txt are on
the page of the authors. The usual centre crops, before resizing to 64x64, are 148 (VAEs and WAEs), 140 and 108 (GANs).

Ziwei Liu, Ping Luo, Xiaogang Wang and Xiaoou Tang, "Deep learning face attributes in the wild", ICCV 2015,
https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html
"""

import logging
from pathlib import Path
from typing import Any, Literal, get_args

from vae_runner.datasets.folder import Channels, SimpleImageFolder, Size, Transform
from vae_runner.errors import UserError
from vae_runner.signature import enforced

__all__ = ["COUNTS", "LIST_NAME", "CelebA"]

Split = Literal["all", "train", "valid", "test"]

URL = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
LIST_NAME = "list_eval_partition.txt"
COUNTS = {"all": 202_599, "train": 162_770, "valid": 19_867, "test": 19_962}  # as published
_CONTENT = f"with img_align_celeba.zip unpacked in it and, for dataset.split, {LIST_NAME} beside, both from {URL}"
_PARTS = {"0": "train", "1": "valid", "2": "test"}  # as the list has them

logger = logging.getLogger("vae_runner")


@enforced
class CelebA(SimpleImageFolder):
    """The aligned CelebA images, as `SimpleImageFolder` has them.

    Args:
        root: the folder that img_align_celeba.zip was unpacked into, at any depth.
        split: "train", "valid" or "test" as in list_eval_partition.txt, which lies in `root` or the folder above; "all"
            needs no list.
        crop: 148, 140 and 108 are usual; None: the whole width.

    A count of images other than the published one is logged as a warning. The other arguments are those of
    `SimpleImageFolder`.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        *,
        split: Split = "all",
        image_size: Size = 64,
        channels: Channels = 3,
        crop: Size | None = 148,
        skip_bad: bool = False,
    ) -> None:
        if split not in get_args(Split):
            raise UserError(f"dataset.split must be one of {', '.join(get_args(Split))}, got {split!r}")
        self.split = split
        super().__init__(
            root,
            transform=transform,
            target_transform=target_transform,
            image_size=image_size,
            channels=channels,
            crop=crop,
            skip_bad=skip_bad,
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """As of any folder, and the part."""
        return super().provenance | {"split": self.split}

    def _find(self) -> list[Path]:
        try:
            paths = super()._find()
        except UserError as error:
            raise UserError(f"{error}, {_CONTENT}") from None
        if self.split != "all":
            paths = self._part(paths)
        if len(paths) != COUNTS[self.split]:
            expected = f"{COUNTS[self.split]:,}"
            logger.warning(
                "CelebA (%s) under %s has %s images, expected %s", self.split, self.root, f"{len(paths):,}", expected
            )
        return paths

    def _part(self, paths: list[Path]) -> list[Path]:
        """Those of the paths whose names the official list has in the part."""
        file = self._list_file()
        part_of = _read_list(file)
        chosen = [path for path in paths if part_of.get(path.name) == self.split]
        if not chosen:
            raise UserError(f"{file} names none of the {len(paths):,} images under {self.root} as {self.split}")
        return chosen

    def _list_file(self) -> Path:
        for folder in (self.root, self.root.absolute().parent):
            if (folder / LIST_NAME).is_file():
                return folder / LIST_NAME
        raise UserError(
            f"dataset.split={self.split} needs {LIST_NAME} in {self.root} or the folder above: "
            f"get it from {URL} (Eval), or set dataset.split=all"
        )


def _read_list(file: Path) -> dict[str, str]:
    """The part of each image by its file name, from lines such as '000001.jpg 0'."""
    part_of = {}
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
        words = line.split()
        if words and (len(words) != 2 or words[1] not in _PARTS):
            raise UserError(f"{file}, line {number}: expected 'NAME.jpg 0', 1 or 2, got {line[:60]!r}")
        if words:
            part_of[words[0]] = _PARTS[words[1]]
    return part_of
