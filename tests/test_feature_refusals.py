"""Features that are refused, before they are made or while; no disk space stays taken."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from captioning import features
from captioning.data.dataset import Example
from captioning.errors import InputError
from captioning.features import FeatureCache
from tests.support.builders import Halves, make_examples, one_line


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Example]:
    """Five images, encoded two at a time."""
    monkeypatch.setattr(features, "BATCH", 2)
    return make_examples(tmp_path, [["a"]] * 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made"


class Reciprocal(Halves):
    """Cannot encode black."""

    def forward(self, images: Tensor) -> Tensor:
        return 1 / images.mean((2, 3))[:, None].expand(-1, 2, -1)


def make(examples: list[Example], folder: Path, encoder: Halves) -> FeatureCache:
    cache = FeatureCache(encoder, examples, folder, "train")
    cache.complete(num_workers=0)
    return cache


@pytest.mark.parametrize("below", [".", "features"])
def test_a_folder_that_cannot_be_made_is_an_error_that_tells_what_to_do(
    below: str, examples: list[Example], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError) as error:
        make(examples, tmp_path / "file" / below, Halves())
    assert f"features cannot be kept in {tmp_path / 'file'}" in one_line(error)
    assert "feature_cache" in str(error.value)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    examples: list[Example], folder: Path
) -> None:
    encoder = Halves()
    encoder.feature_size = 2**50
    with pytest.raises(InputError, match=r"MB are needed; .* --loading.feature_cache"):
        make(examples, folder, encoder)
    assert not list(folder.glob("*.npy"))


@pytest.mark.parametrize(("gain", "what"), [(1e6, "beyond ±65,504"), (math.nan, "no numbers")])
def test_what_float16_cannot_hold_is_refused(
    gain: float, what: str, examples: list[Example], folder: Path
) -> None:
    with pytest.raises(InputError, match=rf"features are {what}, .* of a trained network"):
        make(examples, folder, Halves(gain))
    assert not list(folder.glob("*.npy"))


def test_a_refusal_costs_no_features_that_were_there(examples: list[Example], folder: Path) -> None:
    encoder = Halves()
    cache = make(examples, folder, encoder)
    kept = cache.read().array.copy()
    examples[4].image.write_bytes(examples[3].image.read_bytes())
    encoder.scale.fill_(torch.inf)  # of which its name knows nothing: it was made before
    with pytest.raises(InputError, match="a trained network"):
        cache.complete(num_workers=0, renew=True)
    assert np.array_equal(FeatureCache(Halves(), examples, folder, "train").read().array, kept)


def test_what_replaces_a_bad_image_need_not_be_encoded(
    examples: list[Example], folder: Path
) -> None:
    examples[0].image.unlink()
    array = make(examples, folder, Reciprocal()).read().array
    assert np.isfinite(array).all((1, 2)).tolist() == [False, True, True, True, True]
