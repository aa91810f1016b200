"""CLIPScore and RefCLIPScore of captions, by a CLIP model in a local folder.

After Hessel et al. 2021, "CLIPScore: A Reference-free Evaluation Metric for Image Captioning".
The CLIPScore of torchmetrics is defined differently: 100·cos, clipped at 0 only after averaging
over the images, without per-image scores and without references.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm import trange

from captioning.data.image import open_image
from captioning.device import best_device
from captioning.errors import InputError

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPProcessor

_SCALE = 2.5  # the paper's w: in practice cosines lie in [0, 0.4], spread by this over [0, 1]
_PROMPT = "A photo depicts "  # the paper's prefix of every candidate and reference
_BATCH = 64


class Clip(NamedTuple):
    """A CLIP model, the processor of its images and texts, and the name of its folder."""

    name: str
    model: "CLIPModel"
    processor: "CLIPProcessor"


def clip_scores(
    images: Sequence[Path],
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    clip: Clip,
) -> dict[str, NDArray[np.float64]]:
    """Return the CLIPScore and the RefCLIPScore of each image's caption; corpus scores are means.

    Args:
        images: their files.
        captions: one per image, not tokenised, with capitals and punctuation.
        references: one or more per image.
        clip: from `load_clip`; scores by different models cannot be compared.

    Raises:
        InputError: when an image cannot be opened.
    """
    clip.model.to(best_device())
    flat = [reference for group in references for reference in group]
    with torch.inference_mode():
        seen = _in_batches(images, lambda batch: _see(clip, batch), "images")
        said, meant = (
            _in_batches(texts, lambda batch: _read(clip, batch), name)
            for texts, name in ((captions, "captions"), (flat, "references"))
        )
        groups = meant.split([len(group) for group in references])
        scores = clip_score(seen, said)
        with_references = reference_clip_score(scores, said, groups)
    return {"CLIPScore": scores.double().numpy(), "RefCLIPScore": with_references.double().numpy()}


def clip_score(images: Float[Tensor, "n d"], captions: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Return w·max(cos(c, v), 0), w = 2.5, for embeddings of any norm; in [0, 2.5] (section 3)."""
    return _SCALE * F.cosine_similarity(captions, images).clamp(min=0)


def reference_clip_score(
    scores: Float[Tensor, " n"],
    captions: Float[Tensor, "n d"],
    references: Sequence[Float[Tensor, "_ d"]],
) -> Float[Tensor, " n"]:
    """Return the harmonic mean of CLIPScore and max(max_r cos(c, r), 0); in [0, 10/7] (section 3).

    It is 0 where either of the two is 0.
    """
    pairs = zip(captions, references, strict=True)
    nearest = torch.stack([F.cosine_similarity(c[None], group).max() for c, group in pairs])
    nearest = nearest.clamp(min=0)
    tiny = torch.finfo(scores.dtype).tiny
    return 2 * scores * nearest / (scores + nearest).clamp(min=tiny)


def load_clip(weights: Path) -> Clip:
    """Load a CLIP model and its processor from a folder, as transformers saves them.

    Nothing is downloaded. The model stays on the CPU until it scores: of several processes, only
    the first needs it on a GPU.

    Raises:
        InputError: if transformers or the model is missing.
    """
    try:
        from transformers import CLIPModel, CLIPProcessor
    except ImportError as error:
        raise InputError(
            "CLIPScore needs the package transformers: pip install 'captioning[clip]'"
        ) from error
    try:
        model = CLIPModel.from_pretrained(weights, local_files_only=True)
        processor = CLIPProcessor.from_pretrained(weights, local_files_only=True)
    # OSError, ValueError, safetensors' own and others: they share no narrower class.
    except Exception as error:
        reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
        raise InputError(
            f"{weights}: expected a folder with a CLIP model and its processor as transformers "
            f"saves them ({reason}); CLIPScore downloads nothing"
        ) from error
    return Clip(weights.resolve().name, model.eval(), processor)


def _in_batches(
    items: Sequence[Any], embed: Callable[[Sequence[Any]], Float[Tensor, "b d"]], name: str
) -> Float[Tensor, "n d"]:
    starts = trange(0, len(items), _BATCH, desc=f"CLIP, {name}", unit="batch", disable=None)
    return torch.cat([embed(items[start : start + _BATCH]).float().cpu() for start in starts])


def _see(clip: Clip, images: Sequence[Path]) -> Float[Tensor, "b d"]:
    inputs = clip.processor(images=[open_image(path) for path in images], return_tensors="pt")
    embedded: Tensor = clip.model.get_image_features(**inputs.to(clip.model.device)).pooler_output
    return embedded


def _read(clip: Clip, texts: Sequence[str]) -> Float[Tensor, "b d"]:
    """Embed texts, cut off at the model's maximum length (77 tokens) as in the paper's code."""
    longest = clip.model.config.text_config.max_position_embeddings
    prompted = [_PROMPT + text for text in texts]
    options = {"padding": True, "truncation": True, "max_length": longest}
    inputs = clip.processor(text=prompted, return_tensors="pt", **options)
    embedded: Tensor = clip.model.get_text_features(**inputs.to(clip.model.device)).pooler_output
    return embedded
