"""Reading what `torch.save` wrote, where it may come from a stranger: nothing is believed before it is looked at.

The file is a zip of `data.pkl`, a pickle in which each tensor is a call of `_rebuild_tensor_v2` on a storage that is
named, and of the bytes of each storage, none of them compressed. `torch.load(weights_only=True)` runs no code, but it
inflates members, makes byte arrays of any size and takes a storage to be as long as the pickle says. Here the pickle
may name nothing but these calls, a storage is its member, a tensor lies inside its storage, and the whole is a tree of
limited depth and size: containers that share others, or themselves, many times over have no end for those who walk
through them.

Before torch 1.6 it was no zip, but pickles one behind the other, a number that says what it is, a version, facts of the
machine, the content and the names of the storages, and then of each storage its length, 8 bytes, and its elements.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["OddFileError", "read_old_torch_file", "read_torch_file"]

LONGEST = 1000  # bits of a whole number: a seed may have any size, and is a float's at most
DEEPEST = 40  # levels of containers
MOST_PARTS = 1_000_000  # values in all, each counted where it is met
MOST_TEXT = 1_000_000  # characters of one text
SHARING = 4  # times the bytes of the file that all tensors may show together: weights may be tied
STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128,
}  # fmt: skip
PLACES = ("cpu", "cuda", "mps", "xpu")
OLD_NUMBER, OLD_VERSION = 0x1950A86A20F9469CFC6C, 1001  # with which a file that is no zip begins
TOO_MUCH = "holds more than numbers, texts and tensors, and is not read: no run wrote it"


class OddFileError(Exception):
    """What is wrong with the file, to be said behind its name."""


def read_torch_file(data: bytes) -> Any:
    """The containers, numbers, texts and tensors (on the CPU) in a file's bytes. Raises `OddFileError`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(archive.infolist(), len(data))
            (name,) = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
            content = _Reader(archive, name).load()
    except OddFileError:
        raise
    except (pickle.UnpicklingError, EOFError) as error:
        raise OddFileError("is not a file of torch's: its pickle is cut") from error
    except Exception as error:  # a pickle that was made by hand can raise nearly anything
        raise OddFileError("is not a file of torch's") from error
    _check_tree(content, SHARING * len(data))
    return content


def read_old_torch_file(data: bytes) -> Any:
    """As `read_torch_file`, of a file from before torch 1.6. Raises `OddFileError`, also where bytes are left over."""
    file = io.BytesIO(data)
    try:
        if (_plain(file), _plain(file)) != (OLD_NUMBER, OLD_VERSION) or _plain(file)["little_endian"] is not True:
            raise OddFileError("is not a file of torch's")
        reader = _OldReader(file, len(data))
        content, keys = reader.load(), _plain(file)
        if not isinstance(keys, list) or keys != sorted(reader.storages):
            raise OddFileError("has other storages than its pickle names")
        for key in keys:
            _fill(reader.storages[key], file)
    except OddFileError:
        raise
    except Exception as error:  # a pickle that was made by hand can raise nearly anything, and a cut one too
        raise OddFileError("is not a file of torch's, or not all of it") from error
    if file.read(1):
        raise OddFileError("goes on behind its last tensor")
    _check_tree(content, SHARING * len(data))
    return content


def _plain(file: io.BytesIO) -> Any:
    """The next pickle, of numbers, texts and containers."""
    return _Plain(file).load()


class _Plain(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise OddFileError(TOO_MUCH)

    def persistent_load(self, pid: Any) -> Any:
        raise OddFileError(TOO_MUCH)


def _fill(storage: Tensor, file: io.BytesIO) -> None:
    """Read the elements of a storage, (N,), into it."""
    count, elements = file.read(8), file.read(storage.nbytes)
    if count != len(storage).to_bytes(8, "little") or len(elements) != storage.nbytes:
        raise OddFileError("has a storage that is not as long as its pickle says: is it cut?")
    if elements:
        storage.copy_(torch.frombuffer(bytearray(elements), dtype=storage.dtype))


def _check_members(members: Sequence[zipfile.ZipInfo], size: int) -> None:
    if len({member.filename for member in members}) < len(members):
        raise OddFileError("is a zip in which two members have one name")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise OddFileError("has compressed members, which torch.save does not write")
    if sum(member.file_size for member in members) > size:
        raise OddFileError("is a zip whose members are larger than itself")


def _allowed(module: str, name: str) -> Any:
    """What a pickle of torch's may call: what makes tensors, and nothing else."""
    allowed: dict[tuple[str, str], Callable[..., Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "Size"): tuple,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
    }
    if module == "torch" and name in STORAGES:
        return STORAGES[name]
    if (module, name) not in allowed:
        raise OddFileError(TOO_MUCH)
    return allowed[module, name]


class _Reader(pickle._Unpickler):  # in Python: the other one takes memory by what the pickle says
    """The pickle of a zip, whose storages are its members."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        super().__init__(io.BytesIO(archive.read(name)))
        self.archive, self.folder = archive, name.removesuffix("data.pkl")
        self.storages: dict[tuple[str, torch.dtype], Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        return _allowed(module, name)

    def persistent_load(self, pid: Any) -> Tensor:
        """The elements of a storage, (N,)."""
        kind, dtype, key, place, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or place.partition(":")[0] not in PLACES:
            raise OddFileError(TOO_MUCH)
        if (key, dtype) not in self.storages:
            elements = self.archive.read(f"{self.folder}data/{key}")
            if type(count) is not int or len(elements) != count * dtype.itemsize:
                raise OddFileError(f"has a storage that is said to have {count!r:.20} elements, and has not")
            self.storages[key, dtype] = (
                torch.frombuffer(bytearray(elements), dtype=dtype) if count else torch.empty(0, dtype=dtype)
            )
        return self.storages[key, dtype]


class _OldReader(pickle._Unpickler):
    """The pickle of an old file, whose storages come behind it: room is made for them, together no more than the file
    has bytes.
    """

    def __init__(self, file: io.BytesIO, most_bytes: int) -> None:
        super().__init__(file)
        self.storages: dict[str, Tensor] = {}
        self.left = most_bytes

    def find_class(self, module: str, name: str) -> Any:
        return _allowed(module, name)

    def persistent_load(self, pid: Any) -> Tensor:
        """The elements of a storage, (N,), which are to be filled in."""
        kind, dtype, key, place, count, view = pid
        is_known = kind == "storage" and isinstance(dtype, torch.dtype) and place.partition(":")[0] in PLACES
        if not is_known or view is not None or type(key) is not str:
            raise OddFileError(TOO_MUCH)
        if key not in self.storages:
            if type(count) is not int or not 0 <= count * dtype.itemsize <= self.left:
                raise OddFileError(f"has a storage of {count!r:.20} elements, more than there can be in it: is it cut?")
            self.left -= count * dtype.itemsize
            self.storages[key] = torch.zeros(count, dtype=dtype)
        return self.storages[key]


def _tensor(storage: Tensor, offset: int, size: tuple, stride: tuple, *rest: object) -> Tensor:
    """A part of a storage, every element of which has its own place unless it has none."""
    numbers = [offset, *size, *stride]
    if not all(type(number) is int and number >= 0 for number in numbers) or len(size) != len(stride) or len(size) > 16:
        raise OddFileError("has a tensor of impossible size")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if math.prod(size) > len(storage) or (math.prod(size) and last >= len(storage)):
        raise OddFileError("has a tensor that is larger than what is stored of it")
    return storage.as_strided(size, stride, offset)


def _parameter(tensor: Tensor, *rest: object) -> Tensor:
    return tensor


def _check_tree(content: Any, most_bytes: int) -> None:
    """Level by level, each part counted where it is met."""
    level, parts, shown = [content], 0, 0
    for _ in range(DEEPEST):
        parts += len(level)
        if parts > MOST_PARTS:
            raise OddFileError(f"has more than {MOST_PARTS:,} parts")
        inner: list[Any] = []
        for value in level:
            if isinstance(value, Tensor):
                shown += value.numel() * value.element_size()
            elif isinstance(value, dict):
                inner += value.keys()
                inner += value.values()
            elif isinstance(value, (list, tuple)):
                inner += value
            elif not _is_leaf(value):
                raise OddFileError(TOO_MUCH)
            if len(inner) > MOST_PARTS:
                raise OddFileError(f"has more than {MOST_PARTS:,} parts")
        if shown > most_bytes:
            raise OddFileError("has tensors that share their numbers far too often")
        if not inner:
            return
        level = inner
    raise OddFileError(f"has more than {DEEPEST} levels of containers")


def _is_leaf(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= MOST_TEXT
    if isinstance(value, int):  # bool too
        return value.bit_length() <= LONGEST
    return value is None or isinstance(value, float)
