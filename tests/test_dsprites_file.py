import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vae_runner.datasets.sprites.dsprites_file import NPZ_NAME, find, read_rows
from vae_runner.errors import UserError

COUNT = 2500  # more than one piece of the reader


def random_images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, (COUNT, 64, 64), dtype=np.uint8)


def write_npz(folder: Path, images: np.ndarray) -> Path:
    """An archive like the published one, which has pickled metadata and labels beside the images."""
    path = folder / NPZ_NAME
    metadata = np.array({"title": "dSprites dataset"}, dtype=object)
    np.savez_compressed(path, metadata=metadata, imgs=images, latents_classes=np.zeros((len(images), 6), np.int64))
    return path


def write_npy(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "imgs.npy", images)
    return folder / "imgs.npy"


def told(path: Path) -> str:
    """The line that reading `path` is refused with."""
    with pytest.raises(UserError) as caught:
        list(read_rows(path, COUNT))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("write", [write_npz, write_npy])
@pytest.mark.parametrize("dtype", [np.uint8, np.bool_])
def test_the_rows_of_a_file_are_packed_in_their_order(tmp_path: Path, write, dtype: type) -> None:
    # S6: the original needed extracted arrays, 3 GB of them in memory
    images = random_images()
    rows = np.concatenate(list(read_rows(write(tmp_path, images.astype(dtype)), COUNT)))
    np.testing.assert_array_equal(rows.view(np.uint8), np.packbits(images.reshape(COUNT, -1), axis=1))


@pytest.mark.parametrize("write", [write_npz, write_npy])
def test_reading_holds_one_piece_and_neither_the_bytes_nor_the_bits(tmp_path: Path, write) -> None:
    count = 40_960
    path = write(tmp_path, np.zeros((count, 64, 64), np.uint8))
    tracemalloc.start()
    try:
        assert sum(rows.nbytes for rows in read_rows(path, count)) == 20_971_520
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * 2048 * 4096  # of 167,772,160 bytes


def test_a_truncated_archive_says_how_large_it_is(tmp_path: Path) -> None:
    path = write_npz(tmp_path, random_images())
    path.write_bytes(path.read_bytes()[:1204])
    assert told(path) == f"{path} is 1,204 bytes, expected 26 MB: download it again"


def test_a_page_of_text_under_the_name_of_the_archive_says_how_large_it_is(tmp_path: Path) -> None:
    path = tmp_path / NPZ_NAME
    path.write_text("<html>404</html>")
    assert told(path) == f"{path} is 16 bytes, expected 26 MB: download it again"


def test_an_archive_with_a_flipped_bit_fails_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / NPZ_NAME
    member = io.BytesIO()
    np.save(member, random_images())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("imgs.npy", member.getvalue())
    content = bytearray(path.read_bytes())
    content[5_000_000] ^= 1
    path.write_bytes(content)
    assert told(path) == f"{path} is damaged (Bad CRC-32 for file 'imgs.npy'): download it again"


def test_an_archive_whose_compressed_data_is_overwritten_is_damaged(tmp_path: Path) -> None:
    path = write_npz(tmp_path, random_images())
    content = bytearray(path.read_bytes())
    content[200_000:210_000] = b"\xff" * 10_000
    path.write_bytes(content)
    assert told(path).startswith(f"{path} is damaged (")


def test_an_archive_without_images_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / NPZ_NAME
    np.savez(path, other=np.zeros(3))
    line = f"{path} is damaged (There is no item named 'imgs.npy' in the archive): download it again"
    assert told(path) == line


def test_an_extracted_array_that_ends_early_says_where(tmp_path: Path) -> None:
    path = write_npy(tmp_path, random_images())
    path.write_bytes(path.read_bytes()[: -3 * 4096 - 1])
    assert told(path) == f"{path} is damaged (imgs.npy ends after 2,496 images): extract it again"


def test_bytes_after_the_last_image_are_refused(tmp_path: Path) -> None:
    path = write_npy(tmp_path, random_images())
    path.write_bytes(path.read_bytes() + b"\0")
    assert told(path) == f"{path}: imgs.npy is longer than 2,500 images"


@pytest.mark.parametrize("write", [write_npz, write_npy])
def test_pickled_images_are_refused_unread(tmp_path: Path, write) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "sprung",)

    images = np.empty((2, 64, 64), dtype=object)
    images[:] = Trap()
    path = write(tmp_path, images)
    assert told(path) == f"{path}: imgs.npy holds object (2, 64, 64), expected uint8 (2500, 64, 64)"
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("images", "held"),
    [
        (np.zeros((COUNT - 1, 64, 64), np.uint8), "uint8 (2499, 64, 64)"),
        (np.zeros((COUNT, 32, 32), np.uint8), "uint8 (2500, 32, 32)"),
        (np.zeros((COUNT, 64, 64), np.float16), "float16 (2500, 64, 64)"),
        (np.zeros((64, 64, COUNT), np.uint8).T, "uint8 (2500, 64, 64) in column order"),
    ],
)
def test_another_array_than_expected_is_named(tmp_path: Path, images: np.ndarray, held: str) -> None:
    path = write_npy(tmp_path, images)
    assert told(path) == f"{path}: imgs.npy holds {held}, expected uint8 (2500, 64, 64)"


def test_a_pixel_that_is_neither_zero_nor_one_is_refused(tmp_path: Path) -> None:
    images = random_images()
    images[-1, -1, -1] = 255
    path = write_npy(tmp_path, images)
    assert told(path) == f"{path}: imgs.npy holds the value 255, expected zeros and ones only"


def test_a_file_that_is_not_an_array_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "imgs.npy"
    path.write_bytes(b"nothing of the kind")
    assert told(path).startswith(f"{path} is damaged (")


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "imgs.npy"
    assert told(path) == f"cannot read {path}: No such file or directory"


def test_the_archive_is_found_before_the_extracted_arrays(tmp_path: Path) -> None:
    assert find(tmp_path) is None
    assert find(tmp_path / "nowhere") is None
    extracted = tmp_path / NPZ_NAME.removesuffix(".npz") / "imgs.npy"
    for path in (extracted, tmp_path / "imgs.npy", tmp_path / NPZ_NAME):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert find(tmp_path) == path
