"""Features on disk: made once, gone on with after any stop, and never those of other images."""

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from captioning import features
from captioning.data.dataset import Example
from captioning.data.image import ImageError
from captioning.data.inputs import ImageFiles, StoredFeatures
from captioning.encoder import Encoder, SmallCnn
from captioning.errors import InputError
from captioning.features import FeatureCache, open_inputs
from tests.support.builders import Halves, make_examples, one_line

FIVE = [["a"]] * 5


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Example]:
    """Five images, encoded two at a time."""
    monkeypatch.setattr(features, "BATCH", 2)
    return make_examples(tmp_path, FIVE)


@pytest.fixture
def paths(examples: Sequence[Example]) -> list[Path]:
    return [example.image for example in examples]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made" / "when needed"


class Counting(Halves):
    """Knows how many images it has seen; may be stopped after some."""

    def __init__(self, stop_after: int = 1000) -> None:
        super().__init__()
        self.seen = 0
        self.stop_after = stop_after

    def forward(self, images: Tensor) -> Tensor:
        if self.seen >= self.stop_after:
            raise KeyboardInterrupt
        self.seen += len(images)
        return super().forward(images)


def made(
    examples: Sequence[Example],
    folder: Path,
    encoder: Encoder | None = None,
    workers: int = 0,
    renew: bool = False,
) -> FeatureCache:
    cache = FeatureCache(encoder or Halves(), examples, folder, "train")
    cache.complete(workers, renew)
    return cache


def cached(
    examples: Sequence[Example], folder: Path, encoder: Encoder | None = None, workers: int = 0
) -> np.ndarray:
    return made(examples, folder, encoder, workers).read().array


def arrays_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.npy") if ".index" not in path.name)


def change(path: Path, content: bytes) -> None:
    """Give an image another content, and another date for sure."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


@pytest.mark.parametrize("workers", [0, 2])
def test_features_are_those_of_the_images_in_their_order(
    workers: int, examples: list[Example], folder: Path
) -> None:
    array = cached(examples, folder, workers=workers)
    assert array.shape == (5, 2, 3)
    # Half precision keeps eleven bits.
    expected = np.arange(5)[:, None] * 20 / 255
    np.testing.assert_allclose(array[:, 1], np.broadcast_to(expected, (5, 3)), rtol=2**-11)
    assert (array[:, 0] == 0).all()
    backwards = cached(examples[::-1], folder)
    np.testing.assert_array_equal(backwards, array[::-1])


def test_stored_features_equal_direct_encoding_to_half_precision(
    examples: list[Example], folder: Path
) -> None:
    encoder = SmallCnn(4, 16, "grid").eval()
    encoder.frozen = True
    stored = open_inputs(encoder, examples, folder, "train", 0)
    files = ImageFiles([example.image for example in examples], encoder.transform())
    for one, other in zip(stored, files, strict=True):
        assert isinstance(one, Tensor)
        assert isinstance(other, Tensor)
        with torch.no_grad():
            direct = encoder(other[None])[0]
        torch.testing.assert_close(one.float(), direct, rtol=2**-11, atol=2**-14)


def test_what_is_made_is_neither_encoded_nor_read_again(
    examples: list[Example], paths: list[Path], folder: Path
) -> None:
    before = np.array(cached(examples, folder))
    for path in paths:  # where size and date are as they were, nobody looks
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    encoder = Counting()
    np.testing.assert_array_equal(cached(examples, folder, encoder), before)
    assert encoder.seen == 0
    assert len(arrays_in(folder)) == 1


def test_a_copy_of_the_images_elsewhere_finds_its_features(
    examples: list[Example], tmp_path: Path, folder: Path
) -> None:
    before = np.array(cached(examples, folder))
    copy = tmp_path / "copy"
    copy.mkdir()
    moved = []
    for example in examples:
        path = Path(shutil.copyfile(example.image, copy / f"other-{example.image.name}"))
        os.utime(path, (0, 0))
        moved.append(replace(example, image=path, captions=("b",)))
    encoder = Counting()
    np.testing.assert_array_equal(cached(moved, folder, encoder), before)
    assert encoder.seen == 0
    for example in moved:  # known by their dates from now on
        example.image.write_bytes(bytes(example.image.stat().st_size))
        os.utime(example.image, (0, 0))
    np.testing.assert_array_equal(cached(moved, folder), before)


def test_a_changed_image_is_refused_by_name_and_renewed_when_asked(
    examples: list[Example], paths: list[Path], folder: Path
) -> None:
    before = np.array(cached(examples, folder))
    change(paths[1], paths[4].read_bytes())
    with pytest.raises(InputError, match=r"1\.png has changed .* --renew") as error:
        cached(examples, folder)
    one_line(error)
    change(paths[3], paths[4].read_bytes())
    with pytest.raises(InputError, match=r"1\.png and 1 more images have changed"):
        cached(examples, folder)
    encoder = Counting()
    after = made(examples, folder, encoder, renew=True).read().array
    np.testing.assert_array_equal(after, before[[0, 4, 2, 4, 4]])
    assert encoder.seen == 4  # two batches
    assert len(arrays_in(folder)) == 1
    np.testing.assert_array_equal(cached(examples, folder), after)


def test_an_image_that_is_gone_keeps_its_features(
    examples: list[Example], paths: list[Path], folder: Path
) -> None:
    before = np.array(cached(examples, folder))
    for path in paths:
        path.unlink()
    np.testing.assert_array_equal(cached(examples, folder), before)


def test_other_weights_settings_or_images_have_another_file(
    examples: list[Example], folder: Path
) -> None:
    plain = cached(examples, folder)
    np.testing.assert_allclose(cached(examples, folder, Halves(2.0)), 2 * plain, rtol=2**-10)
    trained = Halves()
    with torch.no_grad():
        trained.scale.mul_(3)
    np.testing.assert_allclose(cached(examples, folder, trained), 3 * plain, rtol=2**-10)
    assert len(cached(examples[:3], folder)) == 3
    assert len(arrays_in(folder)) == 4


def test_a_bad_image_has_no_features_and_the_others_keep_theirs(
    examples: list[Example], paths: list[Path], folder: Path, tmp_path: Path
) -> None:
    good = np.array(cached(examples, tmp_path / "good"))
    paths[0].write_bytes(b"damaged")
    paths[2].write_bytes(b"damaged")
    paths[3].unlink()  # the whole second batch
    stored = made(examples, folder).read()
    assert np.isnan(stored.array[[0, 2, 3]]).all()
    np.testing.assert_array_equal(stored.array[[1, 4]], good[[1, 4]])
    error = stored[3]
    assert isinstance(error, ImageError)
    assert str(paths[3]) in str(error)
    assert isinstance(stored[4], Tensor)


def test_a_mended_image_is_encoded_and_no_other(
    examples: list[Example], paths: list[Path], folder: Path
) -> None:
    damaged, absent = paths[3].read_bytes(), paths[0].read_bytes()
    paths[3].write_bytes(b"damaged")
    paths[0].unlink()
    assert np.isnan(cached(examples, folder)[[0, 3]]).all()
    change(paths[3], damaged)
    paths[0].write_bytes(absent)
    encoder = Counting()
    assert np.isfinite(cached(examples, folder, encoder)).all()
    assert encoder.seen == 4  # the batches that they stand in
    assert cached(examples, folder)[3, 1, 0] == pytest.approx(60 / 255, rel=2**-11)


def test_who_was_stopped_goes_on_to_the_same_bits(
    examples: list[Example], folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached(examples, folder, Counting(stop_after=2))
    encoder = Counting()
    cached(examples, folder, encoder)
    assert encoder.seen == 3
    unbroken = tmp_path / "unbroken"
    cached(examples, unbroken)
    for path in unbroken.glob("*.npy"):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_what_was_stopped_while_it_took_room_is_begun_anew(
    examples: list[Example], folder: Path
) -> None:
    before = np.array(cached(examples, folder))
    (array,) = arrays_in(folder)
    array.with_suffix(".index.npy").unlink()
    array.write_bytes(b"no more than this")
    np.testing.assert_array_equal(cached(examples, folder), before)


def test_who_comes_while_another_computes_waits_for_the_result(
    examples: list[Example], folder: Path
) -> None:
    encoder = Counting()
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(cached, examples, folder, encoder) for _ in range(3)]
        arrays = [run.result() for run in runs]
    assert encoder.seen == 5
    for array in arrays[1:]:
        np.testing.assert_array_equal(array, arrays[0])


def test_making_features_leaves_the_draws_of_training_as_they_are(
    examples: list[Example], folder: Path
) -> None:
    before = torch.get_rng_state()
    cached(examples, folder, workers=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_only_a_frozen_encoder_has_its_features_kept(examples: list[Example], folder: Path) -> None:
    images = open_inputs(SmallCnn(4, 16), examples, folder, "train", 0)
    assert isinstance(images, ImageFiles)
    assert not folder.exists()
    first = images[0]
    assert isinstance(first, Tensor)
    assert first.shape == (3, 16, 16)
    assert isinstance(open_inputs(Halves(), examples, folder, "train", 0), StoredFeatures)
