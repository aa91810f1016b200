"""Captions of a split and what they are worth, beside the rows that put the numbers in place."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from captioning.baselines import embed, most_common_caption, nearest
from captioning.captioner import Captioner
from captioning.data.batching import EvaluationBatches
from captioning.data.dataset import Dataset, Example, ImageId
from captioning.errors import InputError
from captioning.known_world import World, compare, from_true_law, known_scenes
from captioning.loaders import Loading, evaluation_batches
from captioning.metrics import Scorer, Scores, distinct_captions, human
from captioning.search import Search, caption_texts
from captioning.text import SPECIAL

# Share of the words of a split below which a vocabulary is taken to be of other data.
LEAST_KNOWN = 0.5


@dataclass
class Findings:
    """What is known of the captions of one split."""

    examples: list[Example]  # the pictures that were captioned
    captions: dict[ImageId, str]
    scores: Scores
    rows: dict[str, dict[str, float]]  # other captions of the same pictures, scored alike
    world: World  # what the true law tells, where it is known


@torch.inference_mode()
def generate(
    captioners: Sequence[Captioner], batches: Sequence[EvaluationBatches], search: Search
) -> dict[ImageId, str]:
    """Caption every picture; several captioners, each with its own batches, act as an ensemble."""
    captions: dict[ImageId, str] = {}
    total = len(batches[0])
    for views in tqdm(zip(*batches, strict=True), "captioning", total, unit="batch", disable=None):
        pairs = zip(captioners, views, strict=True)
        features = [captioner.encode(view) for captioner, view in pairs]
        captions |= caption_texts(search, captioners, features, views[0].image_ids)
    return captions


def evaluate(
    captioners: Sequence[Captioner], data: Dataset, split: str, search: Search, loading: Loading
) -> Findings:
    """Caption the split and score it with the COCO metrics, beside people and simple baselines."""
    examples = data.examples(split)
    check_vocabulary(captioners[0], examples, data.name)
    with Scorer() as scorer:  # first, so that METEOR reads its table while captions are made
        batches = [evaluation_batches(examples, one, loading, data.name) for one in captioners]
        captions = generate(captioners, batches, search)
        if not captions:
            raise InputError(f"{data.name}: none of the pictures of {split!r} can be opened")
        examples = [example for example in examples if example.image_id in captions]
        references = {example.image_id: example.captions for example in examples}
        others = baselines(captioners[0], data, split, batches[0], loading)
        if known := known_scenes(data, captions):
            others["true distribution"] = from_true_law(known)
        scores = scorer.score(captions, references, progress=sys.stderr.isatty())
        rows = {name: row(scorer.score(other, references), other) for name, other in others.items()}
        held_out, remaining = human(references)
        if held_out:
            rows = {"human": row(scorer.score(held_out, remaining), held_out)} | rows
    world = compare(captioners, batches, captions, known)
    return Findings(examples, captions, scores, rows, world)


def row(scores: Scores, captions: Mapping[ImageId, str]) -> dict[str, float]:
    """Give the numbers of one set of captions: the metrics, and how many captions differ."""
    return scores.corpus | {"distinct": distinct_captions(captions.values())}


def check_vocabulary(captioner: Captioner, examples: Sequence[Example], name: str) -> None:
    """Refuse a captioner whose vocabulary is plainly of other data."""
    split = captioner.vocabulary.split
    said = {word for example in examples for caption in example.captions for word in split(caption)}
    frequent = captioner.vocabulary.tokens[len(SPECIAL) :]
    known = len(said & set(frequent)) / min(len(said), len(frequent))
    if known < LEAST_KNOWN:
        raise InputError(
            f"the checkpoint's vocabulary and {name} share only {known:.0%} of their words: it was "
            "trained on other data; evaluate it on that, or train on this"
        )


def baselines(
    captioner: Captioner,
    data: Dataset,
    split: str,
    batches: EvaluationBatches,
    loading: Loading,
) -> dict[str, dict[ImageId, str]]:
    """Caption by the most common training caption, and by that of the nearest training picture.

    On the training split itself every picture would be nearest to itself, so there is no such row.
    """
    train = data.examples("train")
    ids, pictures = embed(captioner, batches)
    rows = {"most common caption": dict.fromkeys(ids, most_common_caption(train))}
    if split != "train":
        captions = {example.image_id: example.captions[0] for example in train}
        trained, places = embed(captioner, evaluation_batches(train, captioner, loading, data.name))
        found = nearest(pictures, places).tolist()
        rows["nearest image"] = {
            image_id: captions[trained[row]] for image_id, row in zip(ids, found, strict=True)
        }
    return rows


def as_json(found: Findings, data: str, split: str, search: str) -> dict[str, Any]:
    """Give the content of `metrics.json`."""
    return {
        "data": data,
        "split": split,
        "search": search,
        "signature": found.scores.signature + found.world.signature,
        "images": len(found.captions),
        "metrics": row(found.scores, found.captions),
        "rows": found.rows,
        "world": found.world.verdicts,
        "samples": found.world.samples,
        "divergences": found.world.divergences,
        "left out": found.scores.left_out | found.world.left_out,
    }
