"""Weights of encoders: torchvision's by name or a file's, or one line that says why not."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torchvision import models

from captioning.encoder import Backbone
from captioning.errors import InputError
from tests.support.builders import (
    FASTEST,
    SMALLEST,
    make_images,
    make_network,
    one_line,
    save_weights,
)


def test_weights_by_name_are_torchvisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    downloads = tmp_path / "hub" / "checkpoints"
    downloads.mkdir(parents=True)
    network, url = make_network(SMALLEST), models.get_model_weights(SMALLEST)["DEFAULT"].url
    torch.save(network.state_dict(), downloads / Path(url).name)
    encoder = Backbone(SMALLEST, "IMAGENET1K_V1")
    network.fc = nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(encoder(make_images())[:, 0], network(make_images()))


def test_without_a_network_connection_weights_by_name_are_an_error_that_tells_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(InputError) as error:
        Backbone(SMALLEST, "DEFAULT")
    assert f"weights DEFAULT of {SMALLEST} cannot be downloaded" in one_line(error)
    assert "give the path of a file" in one_line(error)


def test_weights_that_are_neither_known_nor_a_file_are_named_with_the_known() -> None:
    with pytest.raises(InputError) as error:
        Backbone("resnet50", "IMAGENET1K_V3")
    assert "IMAGENET1K_V3: not found" in one_line(error)
    assert "IMAGENET1K_V1, IMAGENET1K_V2" in one_line(error)


def test_weights_of_the_wrong_shape_are_refused(tmp_path: Path) -> None:
    weights = save_weights(make_network(FASTEST, num_classes=10), tmp_path)
    with pytest.raises(InputError) as error:
        Backbone(FASTEST, weights)
    assert f"{weights} does not hold the weights of {FASTEST}" in one_line(error)
    assert "classifier.1.weight" in one_line(error)
    with pytest.raises(InputError, match="does not hold the weights of squeezenet1_1"):
        Backbone(FASTEST, save_weights(make_network(SMALLEST), tmp_path))


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02", b"PK\x03\x04cut", b"(lp0\n."])
def test_a_file_that_holds_no_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(InputError) as error:
        Backbone(FASTEST, str(tmp_path / "weights.pth"))
    assert f"weights.pth does not hold the weights of {FASTEST}" in one_line(error)


def test_truncated_weights_and_folders_are_refused(tmp_path: Path) -> None:
    weights = Path(save_weights(make_network(FASTEST), tmp_path))
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    for path in (weights, tmp_path):
        with pytest.raises(InputError, match="does not hold the weights"):
            Backbone(FASTEST, str(path))


class Touch(NamedTuple):
    """Unpickled, it makes a file."""

    path: Path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_weights_are_not_allowed_to_run_code(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(pickle.dumps(Touch(tmp_path / "witness")))
    with pytest.raises(InputError, match="does not hold the weights"):
        Backbone(FASTEST, str(tmp_path / "weights.pth"))
    assert not (tmp_path / "witness").exists()
