"""Features on disk: made once, whole or not at all, and never those of other pictures."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from captioning import features
from captioning.data.image import ImageError
from captioning.data.pictures import ImageFiles, StoredFeatures
from captioning.encoder import SmallCnn
from captioning.errors import InputError
from captioning.features import cached_features, open_pictures
from tests.builders import Halves, make_examples

FIVE = [["a"]] * 5


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Five pictures, encoded two at a time."""
    monkeypatch.setattr(features, "BATCH", 2)
    return [example.image for example in make_examples(tmp_path, FIVE)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made" / "when needed"


def cached(paths: Sequence[Path], folder: Path, gain: float = 1.0, workers: int = 0) -> np.ndarray:
    return cached_features(Halves(gain), paths, folder, "train", workers)


def arrays_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


def ruin(path: Path) -> None:
    """Damage a picture without changing its size and date."""
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("workers", [0, 2])
def test_features_are_those_of_the_pictures_in_their_order(
    workers: int, paths: list[Path], folder: Path
) -> None:
    array = cached(paths, folder, workers=workers)
    assert isinstance(array, np.memmap)
    assert array.shape == (5, 2, 3)
    # Half precision keeps eleven bits.
    expected = np.arange(5)[:, None] * 20 / 255
    np.testing.assert_allclose(array[:, 1], np.broadcast_to(expected, (5, 3)), rtol=2**-11)
    assert (array[:, 0] == 0).all()
    backwards = cached(paths[::-1], folder)
    np.testing.assert_array_equal(backwards, array[::-1])


def test_stored_features_equal_direct_encoding_to_half_precision(
    tmp_path: Path, folder: Path
) -> None:
    paths = [example.image for example in make_examples(tmp_path, FIVE)]
    encoder = SmallCnn(4, 16, "grid").eval()
    encoder.frozen = True
    stored = open_pictures(encoder, paths, folder, "train", 0)
    files = ImageFiles(paths, encoder.transform())
    for one, other in zip(stored, files, strict=True):
        assert isinstance(one, Tensor)
        assert isinstance(other, Tensor)
        with torch.no_grad():
            direct = encoder(other[None])[0]
        torch.testing.assert_close(one.float(), direct, rtol=2**-11, atol=2**-14)


def test_no_picture_is_opened_twice(paths: list[Path], folder: Path) -> None:
    before = np.array(cached(paths, folder))
    for path in paths:
        ruin(path)
    np.testing.assert_array_equal(cached(paths, folder), before)
    assert len(arrays_in(folder)) == 1


def test_a_changed_picture_is_encoded_anew(paths: list[Path], folder: Path) -> None:
    before = cached(paths, folder)
    paths[1].write_bytes(paths[4].read_bytes())
    after = cached(paths, folder)
    np.testing.assert_array_equal(after[1], before[4])
    assert len(arrays_in(folder)) == 2


def test_other_weights_settings_or_pictures_have_another_file(
    paths: list[Path], folder: Path
) -> None:
    plain = cached(paths, folder)
    np.testing.assert_allclose(cached(paths, folder, gain=2.0), 2 * plain, rtol=2**-10)
    trained = Halves()
    with torch.no_grad():
        trained.scale.mul_(3)
    np.testing.assert_allclose(
        cached_features(trained, paths, folder, "train", 0), 3 * plain, rtol=2**-10
    )
    assert len(cached(paths[:3], folder)) == 3
    assert len(arrays_in(folder)) == 4


def test_a_bad_picture_has_no_features_and_the_others_keep_theirs(
    paths: list[Path], folder: Path
) -> None:
    good = np.array(cached(paths, folder))
    paths[0].write_bytes(b"damaged")
    paths[2].write_bytes(b"damaged")
    paths[3].unlink()  # the whole second batch
    array = cached(paths, folder)
    assert np.isnan(array[[0, 2, 3]]).all()
    np.testing.assert_array_equal(array[[1, 4]], good[[1, 4]])
    stored = StoredFeatures(array, paths)
    error = stored[3]
    assert isinstance(error, ImageError)
    assert str(paths[3]) in str(error)
    assert isinstance(stored[4], Tensor)


def test_a_mended_picture_is_encoded(paths: list[Path], folder: Path) -> None:
    whole = paths[3].read_bytes()
    paths[3].write_bytes(b"damaged")
    assert np.isnan(cached(paths, folder)[3]).all()
    paths[3].write_bytes(whole)
    assert np.isfinite(cached(paths, folder)).all()


def test_stored_features_are_looked_up_by_row(paths: list[Path], folder: Path) -> None:
    array = cached(paths, folder)
    stored = StoredFeatures(array, paths)
    assert len(stored) == len(paths)
    first, second = stored[4], stored[0]
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    assert first.dtype == torch.float16
    np.testing.assert_array_equal(first, array[4])
    np.testing.assert_array_equal(second, array[0])


class Interrupted(Halves):
    """Comes as far as the third picture."""

    def forward(self, images: Tensor) -> Tensor:
        if images.max() > 30 / 255:
            raise KeyboardInterrupt
        return super().forward(images)


def test_what_was_interrupted_leaves_nothing_and_is_made_the_next_time(
    paths: list[Path], folder: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached_features(Interrupted(), paths, folder, "train", 0)
    assert {path.suffix for path in folder.iterdir()} <= {".lock"}
    assert np.isfinite(cached(paths, folder)).all()
    assert {path.suffix for path in folder.iterdir()} <= {".lock", ".npy"}


class Counting(Halves):
    """Knows how many pictures it has seen."""

    seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return super().forward(images)


def test_who_comes_while_another_computes_waits_for_the_result(
    paths: list[Path], folder: Path
) -> None:
    encoder = Counting()
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(cached_features, encoder, paths, folder, "train", 0) for _ in range(3)]
        arrays = [run.result() for run in runs]
    assert encoder.seen == 5
    for array in arrays[1:]:
        np.testing.assert_array_equal(array, arrays[0])


@pytest.mark.parametrize("below", [".", "features"])
def test_a_folder_that_cannot_be_made_is_an_error_that_tells_what_to_do(
    below: str, paths: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError) as error:
        cached(paths, tmp_path / "file" / below)
    assert "\n" not in str(error.value)
    assert f"features cannot be kept in {tmp_path / 'file'}" in str(error.value)
    assert "feature_cache" in str(error.value)


def test_only_a_frozen_encoder_has_its_features_kept(paths: list[Path], folder: Path) -> None:
    pictures = open_pictures(SmallCnn(4, 16), paths, folder, "train", 0)
    assert isinstance(pictures, ImageFiles)
    assert not folder.exists()
    first = pictures[0]
    assert isinstance(first, Tensor)
    assert first.shape == (3, 16, 16)
    assert isinstance(open_pictures(Halves(), paths, folder, "train", 0), StoredFeatures)
