"""Run folders: where a run keeps its files, and the results of its evaluations."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from captioning.data.coco import read_coco
from captioning.data.dataset import Example, ImageId
from captioning.data.reading import field, parse_json, read_text, read_yaml
from captioning.data.results import read_results
from captioning.errors import InputError

Which = Literal["best", "last"]


@dataclass(frozen=True)
class Run:
    """The paths of a run, which need not exist yet."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def group(self) -> str:
        """The name that a run shares with its repetitions with other seeds."""
        return re.sub(r"-seed\d+$", "", self.name)

    @property
    def config_file(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration; InputError if it is missing or not a mapping."""
        config = read_yaml(self.config_file)
        if not isinstance(config, dict):
            raise InputError(f"{self.config_file}: expected a mapping, got {config!r:.60}")
        return config

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def result(self) -> Which:
        """The checkpoint that represents the run, according to its configuration."""
        result: Which = self.config.get("result", "best")  # older runs do not say
        return result

    @property
    def lock_file(self) -> Path:
        """The file locked by the command that trains this run, as long as it lives."""
        return self.folder / ".lock"

    @property
    def start_file(self) -> Path:
        """The digest of the captioner that training started from; absent if it was a new one."""
        return self.folder / "start.txt"

    @property
    def finished_file(self) -> Path:
        """Written after training, and evaluation if requested; see `captioning.finished`."""
        return self.folder / "finished.json"

    def checkpoint(self, which: Which | None = None) -> Path:
        """Return the path of a checkpoint, by default the one that represents the run."""
        return self.folder / "checkpoints" / f"{which or self.result}.ckpt"

    def evaluation_folder(self, split: str, search: str) -> Path:
        return self.folder / "evaluations" / f"{split}-{search}"

    def evaluations(self) -> "list[Evaluation]":
        """Return the finished evaluations, the newest last."""
        files = self.folder.glob("evaluations/*/metrics.json")
        return [
            read_evaluation(file.parent)
            for file in sorted(files, key=lambda file: (file.stat().st_mtime_ns, file))
        ]


@dataclass(frozen=True)
class Evaluation:
    """The results of one evaluation of a run, with pycocoevalcap's names and units.

    Attributes:
        folder: `RUN/evaluations/<split>-<search>`.
        data: Name of the data set.
        split: Its split: train, val or test.
        search: The search that made the captions, such as "beam 5".
        signature: How the numbers were computed.
        metrics: The model's; CIDEr is in [0, 10], the others in [0, 1]. `distinct` is the share
            of distinct captions.
        intervals: Ends of the model's 95% confidence intervals, for those metrics that have one.
        rows: The same for what the model is compared with, such as "human".
        diversity: How varied the captions are, for the "captioner" and for each of the rows.
        world: Where the true distribution P is known, shares of the captions by verdict, in [0, 1].
        samples: The same for samples from the captioner.
        divergences: Between P and the captioner's own law Q, in nats; `outside` is the probability
            under Q, in [0, 1], of what P never says.
        js_by_prior: JS_π / (π (1 - π)) of P and Q by the prior π, in nats.
        images: How many images were captioned.
        code: Version of the code that made the numbers, from `captioning.code_version`.
    """

    folder: Path
    data: str
    split: str
    search: str
    signature: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    rows: Mapping[str, Mapping[str, float]]
    diversity: Mapping[str, Mapping[str, float]]
    world: Mapping[str, float]
    samples: Mapping[str, float]
    divergences: Mapping[str, float]
    js_by_prior: Mapping[str, float]
    images: int
    code: str = ""

    @property
    def run(self) -> Run:
        return Run(self.folder.parent.parent)

    def captions(self) -> dict[ImageId, str]:
        """Return the caption of every image, from the results file."""
        return read_results(self.folder / "captions.json")

    def references(self) -> list[Example]:
        """Return the images with their true captions; relative paths stay relative."""
        return read_coco(self.folder / "references.json", Path())

    def scores(self) -> dict[str, dict[str, float]]:
        """Return the metrics of each image, by its id as text; empty if none were saved."""
        file = self.folder / "scores.json"
        if not file.exists():
            return {}
        records = parse_json(read_text(file), str(file))
        if not isinstance(records, dict):
            raise InputError(f"{file}: expected an object, got {type(records).__name__}")
        return {image: numbers(records, image, str(file)) for image in records}

    def statistics(self) -> dict[str, NDArray[np.float64]]:
        """Return what each metric is computed from; empty if none was saved.

        By metric: [images, k], in the order of `captions`; see `metrics.statistics_of`.
        """
        file = self.folder / "statistics.npz"
        if not file.exists():
            return {}
        try:
            with np.load(file) as found:
                return dict(found)
        except (OSError, ValueError, BadZipFile) as error:
            raise InputError(f"{file} is damaged ({error}): evaluate the run again") from error


def read_evaluation(folder: Path) -> Evaluation:
    """Read the evaluation in a folder from its `metrics.json`."""
    file = folder / "metrics.json"
    where = str(file)
    record = parse_json(read_text(file), where)
    rows = field(record, "rows", dict, where)
    intervals = field(record, "intervals", dict, where) if "intervals" in record else {}
    diversity = field(record, "diversity", dict, where) if "diversity" in record else {}
    world, samples, divergences, js_by_prior = (
        numbers(record, name, where) if name in record else {}  # older evaluations have fewer
        for name in ("world", "samples", "divergences", "js by prior")
    )
    return Evaluation(
        folder=folder,
        **{
            name: field(record, name, str, where)
            for name in ("data", "split", "search", "signature")
        },
        metrics=numbers(record, "metrics", where),
        intervals={
            name: (field(each, "low", float, where), field(each, "high", float, where))
            for name, each in intervals.items()
        },
        rows={name: numbers(rows, name, where) for name in rows},
        diversity={name: numbers(diversity, name, where) for name in diversity},
        world=world,
        samples=samples,
        divergences=divergences,
        js_by_prior={f"js_{prior}": value for prior, value in js_by_prior.items()},
        images=field(record, "images", int, where),
        code=field(record, "code", str, where) if "code" in record else "",
    )


def open_run(folder: Path) -> Run:
    """Return the run in a folder; InputError if there is none."""
    run = Run(folder)
    if not run.config_file.is_file():
        raise InputError(
            f"{folder}: expected a run folder, found no config.yaml in it; "
            "name a folder that `captioning train` has made, such as those in runs/"
        )
    return run


def newest_run(folder: Path = Path("runs")) -> Path:
    """Return the run in this folder that was started last; InputError if there is none.

    The time of its config.yaml decides, which evaluating or reporting a run does not change.
    """
    files = list(folder.glob("*/config.yaml"))
    if not files:
        raise InputError(f"{folder}: expected a run, found none; `make train-ss` makes one")
    return max(files, key=lambda file: (file.stat().st_mtime_ns, file)).parent


def numbers(record: Any, name: str, where: str) -> dict[str, float]:
    """Return a required field of a record, which must be an object of numbers."""
    found = field(record, name, dict, where)
    for key, value in found.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InputError(f"{where}: expected {name}.{key} to be a number, got {value!r:.60}")
    return {key: float(value) for key, value in found.items()}
