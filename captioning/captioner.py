"""The captioner: the model that is trained, saved and shipped."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from captioning.batch import Batch, Captions
from captioning.decoder import Decoder
from captioning.encoder import Encoder
from captioning.errors import InputError
from captioning.settings import describe, rebuild
from captioning.text import Vocabulary


class Captioner(nn.Module):
    """An encoder, a decoder and the vocabulary that maps between ids and words.

    Features are standardised in between: buffers hold the mean and the standard deviation of each
    of the d numbers over the training images (0 and 1 until `standardise` is called).
    """

    feature_mean: Tensor
    feature_deviation: Tensor

    def __init__(self, encoder: Encoder, decoder: Decoder, vocabulary: Vocabulary) -> None:
        super().__init__()
        check_fit(encoder, decoder, vocabulary)
        self.encoder = encoder
        self.decoder = decoder
        self.vocabulary = vocabulary
        self.register_buffer("feature_mean", torch.zeros(encoder.feature_size))
        self.register_buffer("feature_deviation", torch.ones(encoder.feature_size))

    def encode(self, batch: Batch) -> Float[Tensor, "n r d"]:
        """Return a batch's standardised features, stored or computed from its images."""
        if batch.features is not None:
            return self.scale(batch.features.to(self.feature_mean.device))
        if batch.images is not None:
            return self.encode_images(batch.images)
        raise ValueError("a batch must hold images or features, got neither")

    def encode_images(self, images: Float[Tensor, "n c height width"]) -> Float[Tensor, "n r d"]:
        """Return the standardised features of images prepared by the encoder's `transform`."""
        return self.scale(self.encoder(images.to(self.feature_mean.device)))

    def scale(self, features: Float[Tensor, "n r d"]) -> Float[Tensor, "n r d"]:
        """Standardise features that come from the encoder."""
        return (features.float() - self.feature_mean) / self.feature_deviation

    def forward(
        self,
        features: Float[Tensor, "n r d"],
        captions: Captions,
        inputs: Tensor | None = None,
    ) -> Float[Tensor, "p h"]:
        """Return the decoder's outputs at all real positions, packed; by default on gold inputs."""
        outputs: Tensor = self.decoder(
            features, captions.inputs if inputs is None else inputs, captions
        )
        return outputs

    def standardise(self, features: Float[Tensor, "n r d"]) -> None:
        """Set the mean and the standard deviation to those of these features."""
        flat = features.float().flatten(0, 1)
        self.feature_mean.copy_(flat.mean(0))
        self.feature_deviation.copy_(flat.std(0, correction=0).clamp(min=1e-3))

    def description(self) -> dict[str, Any]:
        """Return everything but the weights, as plain values."""
        return {
            "encoder": describe(self.encoder),
            "decoder": describe(self.decoder),
            "vocabulary": self.vocabulary.to_json(),
        }


def load_captioner(checkpoint: str | Path) -> Captioner:
    """Rebuild a captioner, in evaluation mode, from a training checkpoint alone."""
    checkpoint = Path(checkpoint)
    content = read_checkpoint(checkpoint)
    description = content["captioner"]
    captioner = Captioner(
        rebuild(description["encoder"], Encoder),  # type: ignore[type-abstract]
        rebuild(description["decoder"], Decoder),  # type: ignore[type-abstract]
        Vocabulary.from_json(description["vocabulary"]),
    )
    load_weights(captioner, content["state_dict"], checkpoint)
    return captioner.eval()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Open a checkpoint without running any code that it may contain."""
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}: expected a .ckpt file of a training run")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        raise InputError(
            f"{path} cannot be read as a checkpoint: it is damaged, cut short or of another kind "
            f"({type(error).__name__}); train again or use the run's other checkpoint"
        ) from error
    if not (isinstance(content, dict) and {"captioner", "state_dict"} <= content.keys()):
        raise InputError(
            f"{path} is a PyTorch file, but not a captioner's checkpoint: expected the keys "
            "'captioner' and 'state_dict'"
        )
    return content


def fingerprint(checkpoint: dict[str, Any]) -> str:
    """Return a digest of the captioner in a checkpoint, whatever else that contains."""
    known = sha256(json.dumps(checkpoint["captioner"], sort_keys=True).encode())
    for name, value in sorted(own_weights(checkpoint["state_dict"]).items()):
        known.update(f"{name} {value.dtype} {[*value.shape]}".encode())
        known.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{known.hexdigest()}"


def own_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the captioner's weights among those of a checkpoint, by their own names."""
    prefix = "captioner."
    return {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def load_weights(captioner: Captioner, weights: dict[str, Tensor], source: Path) -> None:
    """Load the weights of a captioner of the same architecture and vocabulary."""
    try:
        captioner.load_state_dict(own_weights(weights))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
        raise InputError(
            f"{source} is from another architecture or vocabulary than this captioner: "
            f"{lines[0] if lines else error} ({len(lines)} differences)"
        ) from error


def check_same(captioner: Captioner, checkpoint: dict[str, Any]) -> None:
    """Refuse a checkpoint of a captioner with other settings or another vocabulary."""
    ours, theirs = captioner.description(), checkpoint["captioner"]
    for part in ("encoder", "decoder", "vocabulary"):
        if ours[part] != theirs[part]:
            raise InputError(
                f"the checkpoint's {part} is not this run's: it was trained on other data or "
                "with other settings; resume with the settings of its config.yaml"
            )


def check_fit(encoder: Encoder, decoder: Decoder, vocabulary: Vocabulary) -> None:
    """Raise InputError if the parts do not fit together."""
    settings = decoder.settings
    if settings["feature_size"] != encoder.feature_size:
        raise InputError(
            f"the decoder expects features of {settings['feature_size']} numbers, the encoder "
            f"gives {encoder.feature_size}"
        )
    if encoder.regions < decoder.least_regions:
        raise InputError(
            f"{type(decoder).__name__} chooses among regions, the encoder gives {encoder.regions}: "
            "set the encoder's features to 'grid'"
        )
    if settings["vocabulary_size"] != len(vocabulary):
        raise InputError(
            f"the decoder has {settings['vocabulary_size']} tokens, the vocabulary has "
            f"{len(vocabulary)}: they come from different data"
        )
