"""Encoders: features are what the network itself pools, and a frozen one never changes."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

from captioning.encoder import Backbone, SmallCnn
from captioning.errors import InputError
from captioning.settings import describe, rebuild
from tests.support.builders import (
    FASTEST,
    SMALLEST,
    make_images,
    make_network,
    one_line,
    save_weights,
)


@pytest.mark.parametrize(
    ("architecture", "head"),
    [
        ("resnet18", "fc"),
        ("mobilenet_v2", "classifier"),
        # Its last ReLU is a function, no module.
        pytest.param("densenet121", "classifier", marks=pytest.mark.slow),
        (SMALLEST, "fc"),  # averages by a function
    ],
)
def test_pooled_features_are_what_the_network_gives_its_classifier(
    architecture: str, head: str, tmp_path: Path
) -> None:
    network = make_network(architecture)
    encoder = Backbone(architecture, save_weights(network, tmp_path))
    setattr(network, head, nn.Identity())
    images = make_images()
    with torch.no_grad():
        expected = network(images)
    assert (expected[0] - expected[1]).abs().median() > 0.01
    torch.testing.assert_close(encoder(images), expected[:, None])
    assert (encoder.regions, encoder.feature_size) == (1, expected.shape[1])


def test_a_classifier_made_of_convolutions_is_cut_off_too(tmp_path: Path) -> None:
    network = make_network(FASTEST)
    encoder = Backbone(FASTEST, save_weights(network, tmp_path))
    network.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1))
    with torch.no_grad():
        expected = network(make_images())
    torch.testing.assert_close(encoder(make_images()), expected[:, None])
    assert encoder.feature_size == 512


def test_grid_features_are_the_cells_row_by_row_and_their_average_is_pooled(
    tmp_path: Path,
) -> None:
    network = make_network("resnet18")
    weights = save_weights(network, tmp_path)
    grid, pooled = Backbone("resnet18", weights, "grid"), Backbone("resnet18", weights)
    network.avgpool, network.fc = nn.Identity(), nn.Identity()
    images = make_images(size=224)
    with torch.no_grad():
        maps = network(images).view(2, 512, 7, 7)
    features = grid(images)
    assert features.shape == (2, 49, 512)
    assert (grid.regions, grid.feature_size) == (49, 512)
    torch.testing.assert_close(features[1, 7 * 2 + 5], maps[1, :, 2, 5])
    torch.testing.assert_close(features.mean(1, keepdim=True), pooled(images))


@pytest.mark.slow
def test_googlenet_converts_the_scale_of_its_colours_whatever_its_weights_come_from(
    tmp_path: Path,
) -> None:
    network = make_network("googlenet", transform_input=True, init_weights=False)
    encoder = Backbone("googlenet", save_weights(network, tmp_path))
    network.fc = nn.Identity()
    with torch.no_grad():
        expected = network(make_images())
    torch.testing.assert_close(encoder(make_images()), expected[:, None])


@pytest.mark.slow
def test_a_network_that_does_not_end_in_a_feature_map_is_refused() -> None:
    with pytest.raises(InputError) as error:
        Backbone("vit_b_16", None)
    assert "VisionTransformer does not end in a feature map" in one_line(error)
    assert "choose a convolutional network" in one_line(error)


@pytest.mark.parametrize(
    ("wrong", "near"), [("resnet52", "resnet50"), ("mobilenetv2", "mobilenet_v2"), ("", "")]
)
def test_an_unknown_architecture_is_named_with_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(InputError) as error:
        Backbone(wrong, None)
    assert f"called {wrong!r}: did you mean" in one_line(error)
    assert near in one_line(error)


def test_a_frozen_backbone_stays_in_evaluation_mode_and_takes_no_gradient() -> None:
    encoder = Backbone(SMALLEST, None)
    parent = nn.ModuleList([encoder]).train()
    assert parent.training
    assert not any(module.training for module in encoder.modules())
    before = encoder.fingerprint()
    features = encoder(make_images().requires_grad_())
    assert not features.requires_grad
    assert not any(weights.requires_grad for weights in encoder.parameters())
    assert encoder.fingerprint() == before


def test_an_unfrozen_backbone_begins_in_training_mode_and_learns() -> None:
    encoder = Backbone(SMALLEST, None, frozen=False)
    assert all(module.training for module in encoder.modules())
    before = encoder.fingerprint()
    encoder(make_images()).square().sum().backward()
    assert all(weights.grad is not None for weights in encoder.parameters())
    assert encoder.fingerprint() != before  # the statistics of its batch norms
    assert not any(module.training for module in encoder.eval().modules())


def test_what_is_rebuilt_for_a_checkpoint_needs_no_weights_file(tmp_path: Path) -> None:
    weights = save_weights(make_network(SMALLEST), tmp_path)
    encoder = Backbone(SMALLEST, weights, "grid", crop=False)
    Path(weights).unlink()
    again = rebuild(describe(encoder), Backbone)
    assert again.settings == encoder.settings
    again.load_state_dict(encoder.state_dict())
    assert again.fingerprint() == encoder.fingerprint()
    assert torch.equal(again(make_images()), encoder(make_images()))


def striped(width: int, height: int) -> Image.Image:
    """Green of many shades, and red in the tenth at its left edge."""
    image = Image.linear_gradient("L").resize((width, height))
    image = Image.merge("RGB", (Image.new("L", image.size), image, image))
    image.paste((255, 0, 0), (0, 0, width // 10, height))
    return image


def test_images_are_prepared_as_torchvision_does_for_the_weights() -> None:
    image, prepared = striped(300, 200), []
    for name in ("IMAGENET1K_V1", "IMAGENET1K_V2"):
        preset = models.get_model_weights("mobilenet_v2")[name].transforms()
        prepared.append(Backbone("mobilenet_v2", None, prepare_as=name).transform()(image))
        assert prepared[-1].shape == (3, 224, 224)
        # Pillow and PyTorch round to another of 256 greys here and there.
        grey = 1.001 / 255 / min(preset.std)
        torch.testing.assert_close(prepared[-1], preset(image), rtol=0, atol=grey)
    assert (prepared[0] - prepared[1]).abs().max() > 0.1


def test_squashing_keeps_the_edges_that_cropping_loses() -> None:
    cropped, squashed = (
        Backbone(FASTEST, None, crop=crop).transform()(striped(600, 200)) for crop in (True, False)
    )
    assert cropped.shape == squashed.shape == (3, 224, 224)
    red = squashed[0, 200] > 1
    assert red.tolist() == [True] * 22 + [False] * 202
    assert not (cropped[0] > -1).any()


def test_an_unknown_preparation_is_named_with_the_known() -> None:
    with pytest.raises(InputError) as error:
        Backbone("mobilenet_v2", None, prepare_as="IMAGENET1K_V7")
    assert "prepare_as 'IMAGENET1K_V7'" in one_line(error)
    assert "IMAGENET1K_V1, IMAGENET1K_V2" in one_line(error)


def test_a_fingerprint_tells_weights_and_preparation_apart(tmp_path: Path) -> None:
    weights = save_weights(make_network(FASTEST), tmp_path)
    fingerprint = Backbone(FASTEST, weights).fingerprint()
    assert Backbone(FASTEST, weights).fingerprint() == fingerprint
    others = [Backbone(FASTEST, weights, crop=False), Backbone(FASTEST, weights, "grid")]
    changed = Backbone(FASTEST, weights)
    with torch.no_grad():
        next(changed.parameters()).view(-1)[0] += 1e-6
    others.append(changed)
    assert fingerprint not in {other.fingerprint() for other in others}


@pytest.mark.parametrize("size", [16, 30, 32, 36, 64])
def test_the_small_network_halves_its_images_three_times(size: int) -> None:
    pooled, grid = (SmallCnn(6, size, features).eval() for features in ("pooled", "grid"))
    grid.load_state_dict(pooled.state_dict())
    side = -(-size // 8)
    images = make_images(size=size)
    cells, flat = grid(images), pooled(images)
    assert cells.shape == (2, grid.regions, grid.feature_size) == (2, side**2, 6)
    assert flat.shape == (2, pooled.regions, pooled.feature_size) == (2, 1, 6 * side**2)
    assert torch.equal(flat.flatten(), cells.flatten())


def test_a_region_of_the_small_network_sees_its_own_part_of_the_image() -> None:
    encoder = SmallCnn(6, 64, "grid").eval()
    image = make_images(1, 64)
    changed = image.clone()
    changed[..., :8, 56:] = 5
    differ = (encoder(image) != encoder(changed)).any(2)[0].view(8, 8)
    assert differ[0, 7]
    assert not differ[2:].any()
    assert not differ[:, :6].any()


def test_images_for_the_small_network_go_from_minus_one_to_one() -> None:
    image = Image.new("RGB", (50, 40), (0, 255, 51))
    prepared = SmallCnn(image_size=16).transform()(image)
    assert prepared.shape == (3, 16, 16)
    expected = torch.tensor([-1.0, 1.0, -0.6])[:, None, None].expand(3, 16, 16)
    torch.testing.assert_close(prepared, expected)
