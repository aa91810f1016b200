"""Images to features."""

import difflib
import hashlib
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
from torchvision.transforms import v2

from captioning.data.inputs import Transform
from captioning.data.paths import locate
from captioning.errors import InputError
from captioning.settings import arguments


class Encoder(nn.Module, ABC):
    """A network that turns an image into `regions` features of `feature_size` numbers each.

    A frozen encoder never changes: it stays in evaluation mode (batch norm included), and its
    features may be cached on disk.
    """

    feature_size: int
    regions: int
    frozen: bool

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings = settings

    @abstractmethod
    def forward(self, images: Float[Tensor, "n c height width"]) -> Float[Tensor, "n r d"]:
        """Encode images that `transform` has prepared."""

    @abstractmethod
    def transform(self) -> Transform:
        """Return the transform from an opened image (RGB) to an input, "c height width"."""

    def train(self, mode: bool = True) -> "Encoder":
        """Enter training mode, unless frozen."""
        return super().train(mode and not self.frozen)

    def fingerprint(self) -> str:
        """Hash the weights and the settings, which together determine the features."""
        digest = hashlib.sha256(repr(sorted(self.settings.items())).encode())
        for name, value in self.state_dict().items():
            digest.update(name.encode())
            digest.update(value.cpu().numpy().tobytes())
        return digest.hexdigest()


class SmallCnn(Encoder):
    """Three convolutions of stride two, for small images such as those of the shapes world."""

    def __init__(
        self,
        channels: int = 128,
        image_size: int = 32,
        features: Literal["pooled", "grid"] = "pooled",
    ) -> None:
        super().__init__(arguments(locals()))
        if channels < 4:
            raise InputError(f"channels must be 4 or more, a quarter come first, got {channels}")
        cells = math.ceil(image_size / 8) ** 2
        self.regions = 1 if features == "pooled" else cells
        self.feature_size = channels * cells // self.regions
        self.frozen = False
        widths = (3, channels // 4, channels // 2, channels)
        self.layers = nn.Sequential(
            *(
                layer
                for narrow, wide in itertools.pairwise(widths)
                for layer in (
                    nn.Conv2d(narrow, wide, kernel_size=3, stride=2, padding=1),
                    nn.ReLU(),
                )
            )
        )

    def forward(self, images: Float[Tensor, "n c height width"]) -> Float[Tensor, "n r d"]:
        """Encode images; "pooled" is the whole grid, flattened, so positions are kept."""
        cells: Tensor = self.layers(images).flatten(2).transpose(1, 2)
        return cells.reshape(len(images), self.regions, self.feature_size)

    def transform(self) -> Transform:
        """Return a transform that resizes to a square of `image_size` and scales to [-1, 1]."""
        size: int = self.settings["image_size"]
        steps = [
            v2.PILToTensor(),
            v2.Resize((size, size), antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=[0.5], std=[0.5]),
        ]
        return compose(steps)


class Backbone(Encoder):
    """Any torchvision classification network, cut before its classifier.

    `weights` is a name that torchvision knows for `architecture` ("DEFAULT", "IMAGENET1K_V1", ...;
    downloaded once), the path of a state dict (a relative path is also looked up in the data
    folder), or null for an untrained network. `features` are the average over the last feature
    map ("pooled": one region) or its cells ("grid": height × width regions). Images are resized
    and cropped as in the training of the weights (local weights follow "DEFAULT"; `prepare_as`
    names other torchvision weights to follow); `crop: false` resizes the whole image to the
    same square instead, changing its aspect ratio.
    """

    def __init__(
        self,
        architecture: str = "resnet50",
        weights: str | None = "DEFAULT",
        features: Literal["pooled", "grid"] = "pooled",
        frozen: bool = True,
        crop: bool = True,
        prepare_as: str | None = None,
    ) -> None:
        settings = arguments(locals())
        known = weights_of(architecture)
        prepare_as = prepare_as or (weights if weights and weights in known else "DEFAULT")
        if prepare_as not in known:
            raise InputError(
                f"prepare_as {prepare_as!r} names no weights of torchvision's {architecture}: "
                f"expected one of {', '.join(known)}"
            )
        # A checkpoint holds the weights itself: a rebuilt encoder need not load any.
        super().__init__({**settings, "weights": None, "prepare_as": prepare_as})
        self.frozen = frozen
        self.preset = known[prepare_as].transforms()
        network = load_network(architecture, weights)
        self.network = cut_classifier(network, black_image(self.preset))
        self.network.requires_grad_(not frozen)
        self.eval()
        with torch.no_grad():
            _, self.regions, self.feature_size = self(black_image(self.preset)).shape
        self.train()

    def forward(self, images: Float[Tensor, "n c height width"]) -> Float[Tensor, "n r d"]:
        """Encode images; no gradient flows through a frozen network."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            grid = self.network(images)["features"]
        cells: Tensor = grid.flatten(2).transpose(1, 2)
        return cells if self.settings["features"] == "grid" else cells.mean(1, keepdim=True)

    def transform(self) -> Transform:
        """Return a transform that resizes, crops and normalises as in the weights' training."""
        size = self.preset.crop_size[0]
        interpolation = self.preset.interpolation
        if self.settings["crop"]:
            shape = [
                v2.Resize(self.preset.resize_size, interpolation, antialias=True),
                v2.CenterCrop(size),
            ]
        else:
            shape = [v2.Resize((size, size), interpolation, antialias=True)]
        scale = [
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=self.preset.mean, std=self.preset.std),
        ]
        return compose([v2.PILToTensor(), *shape, *scale])


def compose(steps: Sequence[nn.Module]) -> Transform:
    """Chain transforms."""
    transform: Transform = v2.Compose(steps)
    return transform


def weights_of(architecture: str) -> Mapping[str, Any]:
    """Return torchvision's own weights of a classification network, by name."""
    names = models.list_models(module=models)
    if architecture not in names:
        near = difflib.get_close_matches(architecture, names, n=3, cutoff=0)
        raise InputError(
            f"no torchvision classification network is called {architecture!r}: "
            f"did you mean {', '.join(near)}?"
        )
    known: Mapping[str, Any] = models.get_model_weights(architecture).__members__
    return known


def load_network(architecture: str, weights: str | None) -> nn.Module:
    """Build the whole network and load the requested weights into it."""
    # These two were trained elsewhere on another colour scale; they convert ImageNet's on request.
    converting = architecture in ("googlenet", "inception_v3")
    options = {"transform_input": True, "init_weights": False} if converting else {}
    known = weights_of(architecture)
    try:
        network: nn.Module = models.get_model(
            architecture, weights=weights if weights in known else None, **options
        )
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"torchvision's weights {weights} of {architecture} cannot be downloaded ({error}): "
            "give the path of a file that holds them as weights"
        ) from error
    if weights is not None and weights not in known:
        load_local(network, architecture, weights)
    return network


def load_local(network: nn.Module, architecture: str, weights: str) -> None:
    """Load the state dict in a file into a network."""
    try:
        path = locate(weights)
    except InputError as error:
        names = ", ".join(weights_of(architecture))
        raise InputError(f"weights {error}; torchvision's own are {names}") from error
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} does not hold the weights of {architecture} (expected a state dict that "
            f"torchvision's {architecture} loads): {reason}"
        ) from error


def cut_classifier(network: nn.Module, image: Float[Tensor, "1 3 height width"]) -> nn.Module:
    """Cut the network after its last feature map, which is then returned as "features".

    That is the last value with a height and a width before the classifier (the last child of
    every torchvision network). Layers in between, such as pooling, may have no weights: a network
    with learned layers there, such as a vision transformer, is refused.
    """
    network.eval()
    *_, (classifier, _) = network.named_children()
    names = get_graph_node_names(network, suppress_diff_warning=True)[1]
    body = list(itertools.takewhile(lambda name: name.split(".")[0] != classifier, names))
    weights = [name for name, _ in network.named_parameters()]
    learned = [any(weight.startswith(f"{name}.") for weight in weights) for name in body]
    tail = body[max(place for place, has_weights in enumerate(learned) if has_weights) :]
    with torch.no_grad():
        values = create_feature_extractor(network, tail, suppress_diff_warning=True)(image)
    maps = [
        name
        for name, value in values.items()
        if isinstance(value, Tensor) and value.ndim == 4 and min(value.shape[2:]) > 1
    ]
    if not maps:
        raise InputError(
            f"{type(network).__name__} does not end in a feature map with a height and a width: "
            "choose a convolutional network"
        )
    cut: nn.Module = create_feature_extractor(
        network, {maps[-1]: "features"}, suppress_diff_warning=True
    )
    return cut


def black_image(preset: Any) -> Float[Tensor, "1 3 height width"]:
    """Return a black image of the size that torchvision's preset crops to."""
    return torch.zeros(1, 3, preset.crop_size[0], preset.crop_size[0])
