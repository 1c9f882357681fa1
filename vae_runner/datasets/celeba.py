"""CelebA: 202,599 aligned photographs of faces, 178x218, with official training, validation and test parts.

It is not fetched from here, for its licence has to be accepted: img_align_celeba.zip and list_eval_partition.txt are on
the page of the authors. The usual centre crops, before resizing to 64x64, are 148 (VAEs and WAEs), 140 and 108 (GANs).

Ziwei Liu, Ping Luo, Xiaogang Wang and Xiaoou Tang, "Deep learning face attributes in the wild", ICCV 2015,
https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html
"""

import logging
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vae_runner.datasets.folder import Channels, Count, SimpleImageFolder, Size, Transform
from vae_runner.datasets.imaging import Decoding, Fit
from vae_runner.datasets.listing import Entry
from vae_runner.datasets.source import Source, open_source
from vae_runner.errors import UserError
from vae_runner.signature import enforced

__all__ = ["COUNTS", "LIST_NAME", "CelebA"]

Split = Literal["all", "official", "train", "valid", "test"]

URL = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
LIST_NAME = "list_eval_partition.txt"
ZIP_NAME = "img_align_celeba.zip"
COUNTS = {"all": 202_599, "official": 182_637, "train": 162_770, "valid": 19_867, "test": 19_962}  # as published
_CONTENT = f"with {ZIP_NAME} in it, packed or unpacked, and, for dataset.split, {LIST_NAME} beside, both from {URL}"
_PARTS = {"0": "train", "1": "valid", "2": "test"}  # as the list has them

logger = logging.getLogger("vae_runner")


@enforced
class CelebA(SimpleImageFolder):
    """The aligned CelebA images, as `SimpleImageFolder` has them.

    Args:
        root: the folder that img_align_celeba.zip was unpacked into, at any depth; or the zip; or the folder it is in.
        split: "train", "valid" or "test" as in list_eval_partition.txt, which lies in `root`, the folder above, or Eval
            in one of them; "official": train and valid together, of which a run trains on the one and is validated on
            the other; "all" needs no list, nor, with a warning, does "official".
        crop: 148, 140 and 108 are usual; None: as `fit` says.

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
        crop: Count | None = 148,
        fit: Fit = "crop",
        background: str = "white",
        decoding: Decoding = "fast",
        store: bool = True,
        cache_dir: str | Path | None = None,
        workers: Count | None = None,
        skip_bad: bool = False,
    ) -> None:
        if split not in get_args(Split):
            raise UserError(f"dataset.split must be one of {', '.join(get_args(Split))}, got {split!r}")
        self.split = split
        self._part_of: dict[str, str] = {}  # of each image by its file name
        super().__init__(
            root,
            transform=transform,
            target_transform=target_transform,
            image_size=image_size,
            channels=channels,
            crop=crop,
            fit=fit,
            background=background,
            decoding=decoding,
            store=store,
            cache_dir=cache_dir,
            workers=workers,
            skip_bad=skip_bad,
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """As of any folder, and the part."""
        return super().provenance | {"split": self.split}

    def own_split(self) -> tuple[Tensor, Tensor] | None:
        """The indices of the official training and validation images, where `split` is "official"; else None."""
        if self.split != "official" or not self._part_of:
            return None
        self._settle()
        parts = [self._part_of[_file_name(entry)] for entry in self.entries]
        train, valid = (
            torch.tensor([i for i, part in enumerate(parts) if part == name]) for name in ("train", "valid")
        )
        return train.long(), valid.long()

    def _open(self) -> Source:
        if not self.root.is_dir():
            return self._sourced(self.root)
        try:
            return super()._open()
        except UserError:
            packed = [folder / ZIP_NAME for folder in (self.root, self.root / "Img") if (folder / ZIP_NAME).is_file()]
            return self._sourced(packed[0] if packed else self.root)

    def _sourced(self, root: Path) -> Source:
        try:
            return open_source(root, self.extensions)
        except UserError as error:
            raise UserError(f"{error}, {_CONTENT}") from None

    def _choose(self, entries: list[Entry]) -> list[Entry]:
        if self.split != "all":
            entries = self._of_list(entries)
        expected = COUNTS[self.split if self._part_of else "all"]
        if len(entries) != expected:
            counts = f"{len(entries):,} images, expected {expected:,}"
            logger.warning("CelebA (%s) under %s has %s", self.split, self.root, counts)
        return entries

    def _of_list(self, entries: list[Entry]) -> list[Entry]:
        """Those of the files that the official list has in the part."""
        file = self._list_file()
        if file is None and self.split == "official":
            logger.warning("no %s by %s: validating on images chosen at random instead of the official ones; "
                           "get it from %s (Eval)", LIST_NAME, self.root, URL)  # fmt: skip
            return entries
        if file is None:
            raise UserError(
                f"dataset.split={self.split} needs {LIST_NAME} in {self.root} or the folder above: "
                f"get it from {URL} (Eval), or set dataset.split=all"
            )
        self._part_of = _read_list(file)
        wanted = ("train", "valid") if self.split == "official" else (self.split,)
        chosen = [entry for entry in entries if self._part_of.get(_file_name(entry)) in wanted]
        if not chosen:
            names = " or ".join(wanted)
            raise UserError(f"{file} names none of the {len(entries):,} images under {self.root} as {names}")
        return chosen

    def _list_file(self) -> Path | None:
        here = self.root if self.root.is_dir() else self.root.absolute().parent
        for folder in (here, here.absolute().parent):
            for file in (folder / LIST_NAME, folder / "Eval" / LIST_NAME):
                if file.is_file():
                    return file
        return None


def _file_name(entry: Entry) -> str:
    return entry.name.rpartition("/")[2]


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
