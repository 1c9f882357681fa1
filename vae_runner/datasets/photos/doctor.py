"""A look at every file of a set before training: what there is, what is odd, what cannot be read, what it will cost."""

import hashlib
import io
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from PIL import Image, UnidentifiedImageError

from vae_runner.datasets.photos.image_folder import SimpleImageFolder
from vae_runner.datasets.photos.layouts import describe_folders, folders_of
from vae_runner.datasets.photos.remarks import describe_levels, remarks_on_levels
from vae_runner.datasets.reading.imaging import UnreadableImage
from vae_runner.datasets.reading.listing import Entry, describe_others, printable
from vae_runner.datasets.reading.parallel import attempt_all, cores
from vae_runner.errors import UserError

__all__ = ["Checkup", "examine"]

_ROWS = 12  # sizes in the histogram
_NAMED = 20  # unreadable files, and as many refused ones
_BAR = 30  # characters


@dataclass
class Checkup:
    """What was found. `describe` says it in lines of text.

    Example:
        >>> Checkup(files=3, twins={"a hash": ["a.png", "b.png"], "another": ["c.png"]}).duplicates
        [['a.png', 'b.png']]
    """

    files: int
    size: int = 0  # bytes
    formats: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (width, height)
    animated: int = 0
    twins: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # names by hash of the content
    bad: dict[str, str] = field(default_factory=dict)  # reasons by name
    refused: dict[str, str] = field(default_factory=dict)  # likewise, of files that can be read but not be used so
    seconds: float = 0.0  # of decoding, on one core

    @property
    def duplicates(self) -> list[list[str]]:
        """Groups of files with the same content."""
        return [sorted(names) for names in self.twins.values() if len(names) > 1]

    def describe(self, data: SimpleImageFolder) -> Iterator[str]:
        """Yields the lines for people."""
        yield f"images      {self.files:,} files under {printable(data.root)}, {self.size / 1e6:,.1f} MB"
        if len(folders_of(data.entries)) > 1:
            yield f"folders     {describe_folders(data.entries)}"
        if data.labels is not None:
            yield f"labels      {data.labels.describe()}"
        if left := describe_others(data.source.others):
            yield f"left out    {left}"
        yield f"formats     {_counts(self.formats)}"
        yield f"modes       {_counts(self.modes)}"
        yield from self._levels(data)
        yield from _histogram(self.sizes)
        wide, high = data.recipe.least
        if small := sum(count for size, count in self.sizes.items() if size[0] < wide or size[1] < high):
            least = f"{wide} pixels on one side" if wide == high else f"{wide} pixels across or {high} down"
            yield f"small       {small:,} are smaller than {least}"
        if self.animated:
            yield f"animated    {self.animated:,}: their first frames are used"
        if groups := self.duplicates:
            repeated = sum(len(names) - 1 for names in groups)
            first = " = ".join(map(printable, groups[0][:2]))
            yield f"duplicates  {repeated:,} files repeat others (first: {first})"
        yield from self._unreadable(data.settings.skip_bad)
        if self.refused:
            yield f"refused     {len(self.refused):,} of {self.files:,}; dataset.skip_bad=true does not leave them out"
            yield from _first_of(self.refused)
        yield self._cost(data)

    def _levels(self, data: SimpleImageFolder) -> Iterator[str]:
        """How bright the files of more than 8 bits are."""
        depths, levels = data.contents.depths(data.entries), data.recipe.levels
        lines = [describe_levels(depth, levels) for depth in depths]
        if not lines and data.loader is None:
            lines = [line for _, line in remarks_on_levels(depths, levels)]
        yield from (f"levels      {line}" for line in lines)

    def _unreadable(self, skip_bad: bool) -> Iterator[str]:
        if self.bad:
            hint = "they are left out" if skip_bad else "dataset.skip_bad=true goes on without them"
            yield f"unreadable  {len(self.bad):,} of {self.files:,}; {hint}"
            yield from _first_of(self.bad)
        else:
            yield "unreadable  none"

    def _cost(self, data: SimpleImageFolder) -> str:
        shape = data.image_shape
        nbytes, workers = self.files * math.prod(shape), cores()
        return (
            f"store       {nbytes / 1e6:,.1f} MB for {'x'.join(map(str, shape))}, prepared once in about "
            f"{max(self.seconds / workers, 0.1):,.1f} s on {workers} core{'' if workers == 1 else 's'}, in "
            f"{printable(data.store_folder)}"
        )


def examine(data: SimpleImageFolder) -> Checkup:
    """Read and decode all files of the set, in parallel."""
    found = Checkup(len(data.entries), sum(max(entry.size, 0) for entry in data.entries))
    looks: dict[int, tuple] = {}
    bad: dict[int, str] = {}
    refused: dict[int, str] = {}

    def look(position: int) -> None:
        try:
            looks[position] = _look(data, data.entries[position])
        except UnreadableImage as error:
            bad[position] = str(error)
        except UserError as error:  # the settings do not fit the file: it is smaller than the crop, say
            refused[position] = str(error)

    attempt_all(look, len(data.entries))
    for position in sorted(looks):
        kind, mode, size, animated, digest, seconds = looks[position]
        found.formats[kind] += 1
        found.modes[mode] += 1
        found.sizes[size] += 1
        found.animated += animated
        found.twins[digest].append(data.entries[position].name)
        found.seconds += seconds
    found.bad, found.refused = (
        {data.entries[position].name: reasons[position] for position in sorted(reasons)} for reasons in (bad, refused)
    )
    return found


def _look(data: SimpleImageFolder, entry: Entry) -> tuple[str, str, tuple[int, int], bool, str, float]:
    """Format, mode, size, whether it moves, hash and seconds of decoding. Raises `UserError` where it is unusable."""
    began = time.perf_counter()
    data.decode(entry)
    seconds = time.perf_counter() - began
    with data.source.open(entry) as file:
        content = file.read()
    digest = hashlib.sha256(content).hexdigest()
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.format or "?", image.mode, image.size, getattr(image, "is_animated", False), digest, seconds
    except UnidentifiedImageError:  # an array, or what a loader of one's own reads
        image = data.load(entry)
        return entry.name.rpartition(".")[2].upper(), image.mode, image.size, False, digest, seconds


def _first_of(reasons: Mapping[str, str]) -> Iterator[str]:
    """A line for each of the first, and how many more there are."""
    yield from (f"  {reason}" for reason in list(reasons.values())[:_NAMED])
    if len(reasons) > _NAMED:
        yield f"  ... and {len(reasons) - _NAMED:,} more"


def _counts(counter: Counter[str]) -> str:
    return "   ".join(f"{name} {count:,}" for name, count in counter.most_common()) or "none"


def _histogram(sizes: Counter[tuple[int, int]]) -> Iterator[str]:
    """The most frequent sizes, each with a bar."""
    rows = [(f"{width}x{height}", count) for (width, height), count in sizes.most_common(_ROWS)]
    if rest := len(sizes) - len(rows):
        rows.append((f"{rest:,} others", sum(sizes.values()) - sum(count for _, count in rows)))
    largest = max((count for _, count in rows), default=1)
    for number, (name, count) in enumerate(rows):
        bar = "#" * max(round(_BAR * count / largest), 1)
        yield f"{'sizes' if number == 0 else '':<12}{name:<12}{count:>9,}  {bar}"
