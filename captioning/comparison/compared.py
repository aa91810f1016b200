"""The input of a comparison: rows with their evaluations, captions and scores per image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from captioning.data.dataset import Example, ImageId
from captioning.errors import InputError
from captioning.metrics import Statistics, statistics_of
from captioning.runs import Evaluation, Run


@dataclass(frozen=True)
class Published:
    """Published numbers to compare with.

    Attributes:
        source: Where they were published.
        sure: How reliable they are, such as "copied at second hand".
        numbers: By the names of `captioning evaluate`, times 100.
        data: Name of their data set.
    """

    source: str
    sure: str
    numbers: Mapping[str, float]
    data: str


@dataclass(frozen=True)
class Compared:
    """A row with its results.

    Attributes:
        name: The row's name.
        baseline: Name of the row that it is tested against; None for no test.
        published: Numbers to show along with it.
        runs: The trained runs, one per seed; none for an ensemble.
        evaluations: One per seed, or one for an ensemble; none if all failed.
        failures: Why others are missing.
    """

    name: str
    baseline: str | None = None
    published: Published | None = None
    runs: tuple[Run, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def comparable(self) -> bool:
        """Whether the published numbers are on the data that the row was evaluated on."""
        return self.published is not None and any(
            each.data == self.published.data for each in self.evaluations
        )


class Images(NamedTuple):
    """The captions and scores of each image, by evaluated row.

    Attributes:
        examples: The images with their references, in the order of the split.
        captions: By row, from its first seed.
        scores: By row and metric, in the metric's unit; empty if none were saved.
        statistics: By row and metric, averaged over seeds, so that a sum over images pools the
            captions of all seeds; empty if none were saved.
    """

    examples: Sequence[Example]
    captions: Mapping[str, Mapping[ImageId, str]]
    scores: Mapping[str, Mapping[str, Float[ndarray, "seeds images"]]]
    statistics: Mapping[str, Mapping[str, Statistics]]


def read_images(rows: Sequence[Compared]) -> Images:
    """Read the captions and scores of one or more evaluations.

    Raises InputError if evaluations are on different images, which could not be paired.
    """
    whole = [row for row in rows if row.evaluations]
    first = whole[0].evaluations[0]
    captions = {}
    for row in whole:
        for evaluation in reversed(row.evaluations):
            captions[row.name] = evaluation.captions()
            check_alike(evaluation, first, captions[row.name], captions[whole[0].name])
    shown = captions[whole[0].name]
    examples = [example for example in first.references() if example.image_id in shown]
    images = [example.image_id for example in examples]
    return Images(
        examples,
        captions,
        {row.name: read_scores(row, images) for row in whole},
        {row.name: read_statistics(row, images) for row in whole},
    )


def check_alike(
    evaluation: Evaluation,
    first: Evaluation,
    captions: Mapping[ImageId, str],
    others: Mapping[ImageId, str],
) -> None:
    """Refuse an evaluation on other images than the first."""
    where, other = (f"{each.data}, {each.split}" for each in (evaluation, first))
    if where != other:
        raise InputError(
            f"{evaluation.folder}: is of {where}, {first.folder} of {other}; evaluate both alike"
        )
    if captions.keys() != others.keys():
        alone = len(captions.keys() ^ others.keys())
        raise InputError(
            f"{evaluation.folder}: {alone} of its images and of those of {first.folder} are not "
            "in both; evaluate both on the same"
        )


def read_scores(
    row: Compared, images: Sequence[ImageId]
) -> dict[str, Float[ndarray, "seeds images"]]:
    """Read each image's scores by the metrics that every image has in every seed."""
    records = [
        [scores.get(str(image), {}) for image in images]
        for scores in (evaluation.scores() for evaluation in row.evaluations)
    ]
    shared = [
        metric
        for metric in row.evaluations[0].metrics
        if all(metric in record for seed in records for record in seed)
    ]
    return {
        metric: np.array([[record[metric] for record in seed] for seed in records])
        for metric in shared
    }


def read_statistics(row: Compared, images: Sequence[ImageId]) -> dict[str, Statistics]:
    """Average what each metric of a row is computed from over the seeds, image by image."""
    seeds = []
    for evaluation in row.evaluations:
        place = {image: number for number, image in enumerate(evaluation.captions())}
        order = [place[image] for image in images]
        found = evaluation.statistics()
        if any(len(each) != len(place) for each in found.values()):
            raise InputError(
                f"{evaluation.folder}/statistics.npz: expected {len(place)} images as in "
                "captions.json; evaluate the run again"
            )
        seeds.append({metric: each[order] for metric, each in found.items()})
    shared = [metric for metric in seeds[0] if all(metric in seed for seed in seeds)]
    means = {metric: np.mean([seed[metric] for seed in seeds], axis=0) for metric in shared}
    return {metric: statistics_of(metric, each) for metric, each in means.items()}
