"""Caption a split and score the captions, along with baselines that put the numbers in context."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from captioning.captioner import Captioner
from captioning.data.batching import EvaluationBatches, batch_by_batch
from captioning.data.dataset import Dataset, Example, ImageId
from captioning.errors import InputError
from captioning.evaluation.baselines import (
    Direction,
    directions,
    embed,
    most_common_caption,
    nearest,
)
from captioning.evaluation.clip_score import Clip, clip_scores
from captioning.evaluation.known_world import (
    Scenes,
    World,
    comparable,
    compare,
    from_true_law,
    known_scenes,
    measure_batch,
)
from captioning.evaluation.law import Measured
from captioning.evaluation.temperatures import Drawn, Point, curve, draw_batch
from captioning.loaders import Loading, evaluation_batches
from captioning.metrics import (
    Diversity,
    Scorer,
    Scores,
    confidence_intervals,
    distinct_captions,
    diversity,
    human,
    tokenize,
)
from captioning.metrics.statistics import mean_of
from captioning.metrics.uncertainty import described
from captioning.processes import collect, join, place
from captioning.search import Sampling, Search, caption_texts
from captioning.text import SPECIAL

# Share of known words below which a vocabulary is taken to be from other data.
LEAST_KNOWN = 0.5


@dataclass(frozen=True)
class Task:
    """What to evaluate, and how."""

    captioners: Sequence[Captioner]  # an ensemble, or one alone
    data: Dataset
    split: str
    search: Search
    loading: Loading
    metrics: Sequence[str] | None = None  # null: all, SPICE only if its parser is installed
    samplings: Sequence[Sampling] = ()  # for the curve of quality against diversity
    clip: Clip | None = None  # for CLIPScore


class Share(NamedTuple):
    """The results of one process, on its own share of the images."""

    captions: list[tuple[ImageId, str]]
    left_out: int  # images that could not be opened
    places: list[tuple[ImageId, Direction]]
    trained: list[tuple[ImageId, Direction]]  # of the training split
    measured: list[tuple[ImageId, Measured]]
    drawn: list[tuple[ImageId, Drawn]]


@dataclass
class Findings:
    """The results of evaluating one split."""

    examples: list[Example]  # the images that were captioned
    captions: dict[ImageId, str]
    scores: Scores
    rows: dict[str, dict[str, float]]  # scores of other captions of the same images
    diversity: dict[str, Diversity]  # of the captioner's captions and of those rows
    world: World  # comparison with the true law, where it is known
    curve: list[Point]  # quality against diversity, by temperature


def evaluate(task: Task) -> Findings | None:
    """Caption the split and score it with the COCO metrics, along with people and simple baselines.

    Several processes share the batches and find the same numbers, to the last digit, as a single
    one. The first scores all captions; the others return None.
    """
    if place()[0] > 0:
        collect(partial(work, task))
        return None
    with Scorer(
        task.metrics
    ) as scorer:  # first, so that METEOR loads its table while captions are made
        return score(task, scorer, collect(partial(work, task)))


def work(task: Task) -> Share:
    """Do all the work that needs the captioners' networks."""
    examples = task.data.examples(task.split)
    first = task.captioners[0]
    check_vocabulary(first, examples, task.data.name)
    batches = [whole_batches(task, examples, one) for one in task.captioners]
    known = known_scenes(task.data, [example.image_id for example in examples])
    # The order of sums, and so the last digits, may depend on the number of threads.
    torch.set_num_threads(1)
    share = look(task, batches, comparable(known, first.vocabulary))
    # On the training split itself, every image would be its own nearest.
    train = [] if task.split == "train" else task.data.examples("train")
    return share._replace(trained=embed(first, whole_batches(task, train, first)) if train else [])


def whole_batches(
    task: Task, examples: Sequence[Example], captioner: Captioner
) -> EvaluationBatches:
    """Prepare a captioner's input: the same batches for any number of processes."""
    return evaluation_batches(examples, captioner, task.loading, task.data.name, whole=True)


@torch.inference_mode()
def look(task: Task, batches: Sequence[EvaluationBatches], known: Scenes) -> Share:
    """Encode every image once and compute everything that needs its features.

    Several captioners, each with its own batches, form an ensemble. Random draws depend only on
    the images of a batch.
    """
    captioners, share = task.captioners, Share([], 0, [], [], [], [])
    for views in batch_by_batch(batches, "captioning"):
        image_ids = views[0].image_ids
        if any(view.image_ids != image_ids for view in views):
            raise InputError(
                "the captioners of the ensemble could not open the same images, as one of them has "
                "features of an image that is gone: restore the image, or evaluate them alone"
            )
        pairs = zip(captioners, views, strict=True)
        features = [captioner.encode(view) for captioner, view in pairs]
        share.captions.extend(caption_texts(task.search, captioners, features, image_ids).items())
        share.places.extend(zip(image_ids, directions(features[0]), strict=True))
        share.measured.extend(measure_batch(captioners, features, image_ids, known))
        share.drawn.extend(draw_batch(captioners, features, image_ids, task.samplings))
    return share._replace(left_out=batches[0].left_out)


def score(task: Task, scorer: Scorer, shares: Sequence[Share]) -> Findings:
    """Join the results of all processes and score them."""
    examples = task.data.examples(task.split)
    captions = join_captions(task, shares, examples)
    examples = [example for example in examples if example.image_id in captions]
    references = {example.image_id: example.captions for example in examples}
    training = task.data.examples("train")
    known = known_scenes(task.data, captions)
    others = baselines(shares, captions, training)
    if known:
        others["true distribution"] = from_true_law(known)
    progress = sys.stderr.isatty()
    scores = scorer.score(captions, references, progress, split=label(task, shares, captions))
    if task.clip:
        scores = with_clip(scores, examples, captions, task.clip)
    rows = {name: row(scorer.score(other, references), other) for name, other in others.items()}
    held_out, remaining = human(references)
    if held_out:
        rows = {"human": row(scorer.score(held_out, remaining), held_out)} | rows
        others["human"] = held_out
    measured = join((share.measured for share in shares), captions)
    drawn = join((share.drawn for share in shares), captions)
    said = {"captioner": captions} | {name: others[name] for name in rows}
    return Findings(
        examples,
        captions,
        scores,
        rows,
        diversities(said, training),
        compare(captions, known, measured, task.captioners[0].vocabulary),
        curve(task.samplings, drawn, references),
    )


def join_captions(
    task: Task, shares: Sequence[Share], examples: Sequence[Example]
) -> dict[ImageId, str]:
    """Join the captions of all processes in the order of the split and check their number."""
    captions = join((share.captions for share in shares), [each.image_id for each in examples])
    left_out = sum(share.left_out for share in shares)
    if not captions:
        raise InputError(f"{task.data.name}: none of the images of {task.split!r} can be opened")
    if len(captions) + left_out != len(examples):
        raise InputError(
            f"{task.data.name}: expected the {len(examples)} images of {task.split!r}, but "
            f"{len(captions)} were captioned and {left_out} left out; evaluate with --devices 1"
        )
    return captions


def label(task: Task, shares: Sequence[Share], captions: Mapping[ImageId, str]) -> str:
    """Return the split's name for the signature, which says if images were left out."""
    left_out = sum(share.left_out for share in shares)
    part = f",{len(captions)}-of-{len(captions) + left_out}-images" if left_out else ""
    return task.split + part


def row(scores: Scores, captions: Mapping[ImageId, str]) -> dict[str, float]:
    """Return the metrics of one set of captions and the share of distinct ones."""
    return scores.corpus | {"distinct": distinct_captions(captions.values())}


def with_clip(
    scores: Scores, examples: Sequence[Example], captions: Mapping[ImageId, str], clip: Clip
) -> Scores:
    """Add CLIPScore and RefCLIPScore."""
    found = clip_scores(
        [example.image for example in examples],
        [captions[example.image_id] for example in examples],
        [example.captions for example in examples],
        clip,
    )
    return replace(
        scores,
        statistics=scores.statistics | {name: mean_of(each) for name, each in found.items()},
        signature=f"{scores.signature}|CLIP:{clip.name}",
    )


def diversities(
    said: Mapping[str, Mapping[ImageId, str]], training: Sequence[Example]
) -> dict[str, Diversity]:
    """Measure how varied each set of captions is, tokenised as for the metrics."""
    known = [line.split() for line in tokenize([text for e in training for text in e.captions])]
    lines = {name: tokenize([*captions.values()]) for name, captions in said.items()}
    return {name: diversity([line.split() for line in each], known) for name, each in lines.items()}


def check_vocabulary(captioner: Captioner, examples: Sequence[Example], name: str) -> None:
    """Refuse a captioner whose vocabulary clearly comes from other data."""
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
    shares: Sequence[Share], captions: Mapping[ImageId, str], training: Sequence[Example]
) -> dict[str, dict[ImageId, str]]:
    """Caption with the most common training caption and that of the nearest training image."""
    rows = {"most common caption": dict.fromkeys(captions, most_common_caption(training))}
    first = {example.image_id: example.captions[0] for example in training}
    if trained := join((share.trained for share in shares), first):
        found = nearest(join((share.places for share in shares), captions), trained)
        rows["nearest image"] = {image_id: first[other] for image_id, other in found.items()}
    return rows


def as_json(found: Findings, task: Task, search: str) -> dict[str, Any]:
    """Return the contents of `metrics.json`."""
    intervals = confidence_intervals(found.scores.statistics, np.random.default_rng(0))
    return {
        "data": task.data.name,
        "split": task.split,
        "search": search,
        "signature": found.scores.signature + described() + found.world.signature,
        "images": len(found.captions),
        "metrics": row(found.scores, found.captions),
        "intervals": {name: span._asdict() for name, span in intervals.items()},
        "rows": found.rows,
        "diversity": {name: each._asdict() for name, each in found.diversity.items()},
        "world": found.world.verdicts,
        "samples": found.world.samples,
        "divergences": found.world.divergences,
        "js by prior": found.world.js_by_prior,
        "left out": found.scores.left_out | found.world.left_out,
    }
