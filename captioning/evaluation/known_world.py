"""Compare captions and captioners with the true law, in the world where it is known."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from captioning.captioner import Captioner
from captioning.data.dataset import Dataset, ImageId
from captioning.data.shapes import Shapes
from captioning.evaluation.law import DELTA, SAMPLES, Measured, measure, summarise
from captioning.search import seeded
from captioning.shapes.grammar import sample, support
from captioning.shapes.scene import Scene
from captioning.shapes.verdict import Verdict, judge
from captioning.shapes.world import scenes
from captioning.text import Vocabulary

# Images measured together: a few hundred different prefixes of captions at each step.
IMAGES = 10

Scenes = Mapping[ImageId, Scene]


@dataclass(frozen=True)
class World:
    """The comparison with the true law; empty where that is unknown."""

    verdicts: dict[str, float] = field(default_factory=dict)  # shares of the captions, in [0, 1]
    samples: dict[str, float] = field(default_factory=dict)  # the same for samples of the captioner
    divergences: dict[str, float] = field(default_factory=dict)  # see `Divergences`
    js_by_prior: dict[str, float] = field(default_factory=dict)  # likewise
    left_out: dict[str, str] = field(default_factory=dict)  # what is missing, and why

    @property
    def signature(self) -> str:
        """How the divergences were computed, to append to the signature of the metrics."""
        return f"|divergences:delta-{DELTA},samples-{SAMPLES}" if self.divergences else ""


def known_scenes(data: Dataset, image_ids: Iterable[ImageId]) -> dict[ImageId, Scene]:
    """Return the scenes of these images; none if the data are not the shapes world."""
    if not isinstance(data, Shapes):
        return {}
    every = scenes(Path(data.folder))
    return {image_id: every[int(image_id)] for image_id in image_ids}


def from_true_law(known: Scenes) -> dict[ImageId, str]:
    """Draw one caption per image from P, with a fixed seed."""
    generator = np.random.default_rng(0)
    return {image_id: sample(scene, generator) for image_id, scene in known.items()}


def verdicts(captions: Iterable[tuple[str, Scene]]) -> dict[str, float]:
    """Return the share of captions that are true and of each way to be wrong."""
    found = [judge(caption, scene) for caption, scene in captions]
    return {verdict.value: found.count(verdict) / len(found) for verdict in Verdict}


def comparable(known: Scenes, vocabulary: Vocabulary) -> Scenes:
    """Return the scenes if the vocabulary has every word that P says of them, else none."""
    return {} if unknown_words(vocabulary, known) else known


@torch.inference_mode()
def measure_batch(
    captioners: Sequence[Captioner],
    features: Sequence[Float[Tensor, "n _ _"]],
    image_ids: Sequence[ImageId],
    known: Scenes,
) -> list[tuple[ImageId, Measured]]:
    """Compare P with the law of the captioners, an ensemble, image by image.

    The result is empty if no scene is known.
    """
    measured: list[tuple[ImageId, Measured]] = []
    for first in range(0, len(image_ids) if known else 0, IMAGES):
        few = image_ids[first : first + IMAGES]
        seen = [each[first : first + IMAGES] for each in features]
        laws = [support(known[image_id]) for image_id in few]
        found = measure(captioners, seen, laws, seeded(few, features[0].device))
        measured += zip(few, found, strict=True)
    return measured


def compare(
    captions: Mapping[ImageId, str],
    known: Scenes,
    measured: Mapping[ImageId, Measured],
    vocabulary: Vocabulary,
) -> World:
    """Judge the captions of images and summarise the measurements of the captioner's law.

    A captioner that does not know every word of P has no divergences: its KL[P‖Q] is infinite.
    """
    if not known:
        return World()
    judged = verdicts((captions[image_id], scene) for image_id, scene in known.items())
    if lacking := unknown_words(vocabulary, known):
        reason = f"P says {lacking[0]!r}, which the captioner does not know: KL[P‖Q] is infinite"
        return World(judged, left_out={"divergences": reason})
    samples = (
        (sample, known[image_id]) for image_id, each in measured.items() for sample in each.samples
    )
    divergences = summarise([*measured.values()])._asdict()
    by_prior = divergences.pop("js_by_prior")
    return World(judged, verdicts(samples), divergences, by_prior)


def unknown_words(vocabulary: Vocabulary, known: Scenes) -> list[str]:
    """Return, sorted, the words that P says of the scenes but the vocabulary does not have."""
    said = {word for scene in known.values() for text in support(scene) for word in text.split()}
    return sorted(said - set(vocabulary.tokens))
