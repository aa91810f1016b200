"""CLIPScore and RefCLIPScore of captions, by a CLIP model in a folder of the user's.

After Hessel et al. 2021, "CLIPScore: A Reference-free Evaluation Metric for Image Captioning".
torchmetrics has a CLIPScore of another definition: 100·cos, cut at 0 only after its mean over the
images, without one for each image, and without references.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

_SCALE = 2.5  # the paper's w: it spreads what in practice lies between 0 and 0.4 over [0, 1]
_PROMPT = "A photo depicts "  # the paper's, before every candidate and reference
_BATCH = 64


def clip_scores(
    pictures: Sequence[Path],
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    weights: Path,
) -> dict[str, NDArray[np.float64]]:
    """The CLIPScore and the RefCLIPScore of each picture's caption; the corpus has their means.

    Args:
        pictures: their files.
        captions: one of each picture, as it is said, with capitals and punctuation.
        references: one or more of each picture.
        weights: folder of a CLIP model with its processor, as transformers saves them. Nothing is
            downloaded. Scores by different models cannot be compared: name it in the report.

    Raises:
        InputError: when transformers or the model is missing, or a picture cannot be opened.
    """
    model, processor = _load(weights)
    flat = [reference for group in references for reference in group]
    with torch.inference_mode():
        seen = _in_batches(pictures, lambda batch: _see(model, processor, batch), "pictures")
        said, meant = (
            _in_batches(texts, lambda batch: _read(model, processor, batch), name)
            for texts, name in ((captions, "captions"), (flat, "references"))
        )
        groups = meant.split([len(group) for group in references])
        scores = clip_score(seen, said)
        with_references = reference_clip_score(scores, said, groups)
    return {"CLIPScore": scores.double().numpy(), "RefCLIPScore": with_references.double().numpy()}


def check_model(weights: Path) -> None:
    """Raise the InputError that `clip_scores` would, before captions are made to be scored."""
    _load(weights)


def clip_score(
    pictures: Float[Tensor, "n d"], captions: Float[Tensor, "n d"]
) -> Float[Tensor, " n"]:
    """w·max(cos(c, v), 0) with w = 2.5, of embeddings of any length; in [0, 2.5] (section 3)."""
    return _SCALE * F.cosine_similarity(captions, pictures).clamp(min=0)


def reference_clip_score(
    scores: Float[Tensor, " n"],
    captions: Float[Tensor, "n d"],
    references: Sequence[Float[Tensor, "_ d"]],
) -> Float[Tensor, " n"]:
    """Harmonic mean of the CLIPScore and max(max_r cos(c, r), 0); in [0, 10/7] (section 3).

    It is 0 where one of the two is.
    """
    pairs = zip(captions, references, strict=True)
    nearest = torch.stack([F.cosine_similarity(c[None], group).max() for c, group in pairs])
    nearest = nearest.clamp(min=0)
    tiny = torch.finfo(scores.dtype).tiny
    return 2 * scores * nearest / (scores + nearest).clamp(min=tiny)


def _load(weights: Path) -> "tuple[CLIPModel, CLIPProcessor]":
    try:
        from transformers import CLIPModel, CLIPProcessor
    except ImportError as error:
        raise InputError(
            "CLIPScore needs the package transformers: pip install 'captioning[clip]'"
        ) from error
    try:
        model = CLIPModel.from_pretrained(weights, local_files_only=True)
        processor = CLIPProcessor.from_pretrained(weights, local_files_only=True)
    # Among others OSError, ValueError and safetensors' own: they share nothing narrower.
    except Exception as error:
        reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
        raise InputError(
            f"{weights}: expected a folder with a CLIP model and its processor as transformers "
            f"saves them ({reason}); CLIPScore downloads nothing"
        ) from error
    return model.eval().to(best_device()), processor


def _in_batches(
    items: Sequence[Any], embed: Callable[[Sequence[Any]], Float[Tensor, "b d"]], name: str
) -> Float[Tensor, "n d"]:
    starts = trange(0, len(items), _BATCH, desc=f"CLIP, {name}", unit="batch", disable=None)
    return torch.cat([embed(items[start : start + _BATCH]).float().cpu() for start in starts])


def _see(
    model: "CLIPModel", processor: "CLIPProcessor", pictures: Sequence[Path]
) -> Float[Tensor, "b d"]:
    inputs = processor(images=[open_image(path) for path in pictures], return_tensors="pt")
    embedded: Tensor = model.get_image_features(**inputs.to(model.device)).pooler_output
    return embedded


def _read(
    model: "CLIPModel", processor: "CLIPProcessor", texts: Sequence[str]
) -> Float[Tensor, "b d"]:
    """What lies beyond the model's longest text (77 tokens) is cut, as in the paper's code."""
    longest = model.config.text_config.max_position_embeddings
    prompted = [_PROMPT + text for text in texts]
    options = {"padding": True, "truncation": True, "max_length": longest}
    inputs = processor(text=prompted, return_tensors="pt", **options)
    embedded: Tensor = model.get_text_features(**inputs.to(model.device)).pooler_output
    return embedded
