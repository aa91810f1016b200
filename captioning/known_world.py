"""Captions and captioners beside the true law, in the world where that is known."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from captioning.captioner import Captioner
from captioning.data.batching import EvaluationBatches, batch_by_batch
from captioning.data.dataset import Dataset, ImageId
from captioning.data.shapes import Shapes
from captioning.law import DELTA, SAMPLES, Measured, measure, summarise
from captioning.search import seeded
from captioning.shapes.grammar import sample, support
from captioning.shapes.scene import Scene
from captioning.shapes.verdict import Verdict, judge
from captioning.shapes.world import scenes
from captioning.text import Vocabulary

# Pictures looked at together: a few hundred different beginnings of captions at each step.
PICTURES = 10

Scenes = Mapping[ImageId, Scene]


@dataclass(frozen=True)
class World:
    """What the true law tells; empty where it is unknown."""

    verdicts: dict[str, float] = field(default_factory=dict)  # shares of the captions, in [0, 1]
    samples: dict[str, float] = field(default_factory=dict)  # the same of samples of the captioner
    divergences: dict[str, float] = field(default_factory=dict)  # see `Divergences`
    left_out: dict[str, str] = field(default_factory=dict)  # what is missing, and why

    @property
    def signature(self) -> str:
        """Say how the divergences were made, to be added to the signature of the metrics."""
        return f"|divergences:delta-{DELTA},samples-{SAMPLES}" if self.divergences else ""


def known_scenes(data: Dataset, image_ids: Iterable[ImageId]) -> dict[ImageId, Scene]:
    """Give the scenes of these pictures; none where the data are not of the shapes world."""
    if not isinstance(data, Shapes):
        return {}
    every = scenes(Path(data.folder))
    return {image_id: every[int(image_id)] for image_id in image_ids}


def from_true_law(known: Scenes) -> dict[ImageId, str]:
    """Draw one caption of each picture from P, always the same."""
    generator = np.random.default_rng(0)
    return {image_id: sample(scene, generator) for image_id, scene in known.items()}


def verdicts(captions: Iterable[tuple[str, Scene]]) -> dict[str, float]:
    """Give the share of captions that are true, and of each way to be wrong."""
    found = [judge(caption, scene) for caption, scene in captions]
    return {verdict.value: found.count(verdict) / len(found) for verdict in Verdict}


@torch.inference_mode()
def measure_all(
    captioners: Sequence[Captioner], batches: Sequence[EvaluationBatches], known: Scenes
) -> list[tuple[ImageId, Measured]]:
    """Compare P with the law of the captioners, an ensemble, picture by picture.

    Nothing where no scene is known, or where a captioner lacks a word of P.
    """
    if not known or unknown_words(captioners[0].vocabulary, known):
        return []
    device = captioners[0].feature_mean.device
    measured: list[tuple[ImageId, Measured]] = []
    for image_ids, features in looks(captioners, batches):
        laws = [support(known[image_id]) for image_id in image_ids]
        found = measure(captioners, features, laws, seeded(image_ids, device))
        measured += zip(image_ids, found, strict=True)
    return measured


def compare(
    captions: Mapping[ImageId, str],
    known: Scenes,
    measured: Mapping[ImageId, Measured],
    vocabulary: Vocabulary,
) -> World:
    """Judge the captions of pictures, and sum up what was measured of the captioner's law.

    A captioner that lacks a word of P has no divergences: its KL[P‖Q] is infinite.
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
    return World(judged, verdicts(samples), summarise([*measured.values()])._asdict())


def looks(
    captioners: Sequence[Captioner], batches: Sequence[EvaluationBatches]
) -> Iterator[tuple[Sequence[ImageId], Sequence[Float[Tensor, "n _ _"]]]]:
    """Give ids and, for each captioner, features of a few pictures at a time."""
    for views in batch_by_batch(batches, "comparing"):
        pairs = zip(captioners, views, strict=True)
        features = [captioner.encode(view).split(PICTURES) for captioner, view in pairs]
        for number, few in enumerate(zip(*features, strict=True)):
            first = number * PICTURES
            yield views[0].image_ids[first : first + PICTURES], few


def unknown_words(vocabulary: Vocabulary, known: Scenes) -> list[str]:
    """Give the words that P says of the scenes and the vocabulary lacks, by the alphabet."""
    said = {word for scene in known.values() for text in support(scene) for word in text.split()}
    return sorted(said - set(vocabulary.tokens))
