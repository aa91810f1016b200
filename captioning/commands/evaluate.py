"""`captioning evaluate`: caption a split with a run, and score it with the COCO metrics."""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from os.path import relpath
from pathlib import Path
from typing import Any, Literal

import numpy as np

from captioning.captioner import load_captioner
from captioning.code_version import digest, version
from captioning.commands.configuration import Parser
from captioning.commands.score import metric_names
from captioning.commands.summary import text
from captioning.data.batching import OnBadImage
from captioning.data.dataset import Dataset
from captioning.device import best_device
from captioning.errors import InputError
from captioning.evaluation.clip_score import load_clip
from captioning.evaluation.evaluate import Findings, Task, as_json, evaluate
from captioning.evaluation.temperatures import SAMPLES, samplings
from captioning.files import make_folder, write, write_json
from captioning.loaders import Loading
from captioning.processes import start
from captioning.report import report_run
from captioning.runs import Run, Which, newest_run, open_run
from captioning.search import Search

METRICS = "Bleu,METEOR,ROUGE_L,CIDEr"  # the field's usual ones, which are fast
SWEEP = "temperatures"  # in place of a search's name, for sampling at several temperatures
LONGEST = 200  # characters of an evaluation's name that are used for its folder


def evaluate_run(
    search: Search,
    run: str | None = None,
    ensemble_with: list[str] | None = None,
    split: str = "test",
    checkpoint: Which | None = None,
    on_bad_image: OnBadImage | None = None,
    metrics: str = METRICS,
    temperatures: str = "",
    clip: str | None = None,
    devices: int = 1,
    num_nodes: int = 1,
    format: Literal["text", "json"] = "text",
) -> None:
    """Caption a split, score the captions, write both to the run folder and make its page.

    Args:
        search: How to generate captions: Greedy, Beam, Sampling.
        run: Run folder; null for the newest one.
        ensemble_with: Further run folders, to average the probabilities of all their captioners.
        split: Split of the run's data set: train, val or test.
        checkpoint: The best by validation, or the last; null for each run's own choice.
        on_bad_image: Stop at a bad image, or skip it; null for the choice made in training.
        metrics: Some of Bleu,METEOR,ROUGE_L,CIDEr,SPICE, separated by commas; SPICE takes 0.05
            seconds per caption and reference.
        temperatures: Temperatures at which to sample, too, for a curve of quality against
            diversity, separated by commas: 0.3,0.5,1.
        clip: Folder of a CLIP model with its processor, as saved by transformers, to compute
            CLIPScore and RefCLIPScore, too; nothing is downloaded.
        devices: GPUs of each machine, or processes on the CPU if there are none; captions and
            numbers are the same for any number. Under torchrun or SLURM, as many as those start.
        num_nodes: Number of machines.
        format: A table, or just the contents of metrics.json.
    """
    first = open_run(newest_run() if run is None else Path(run))
    members = [first, *(open_run(Path(other)) for other in ensemble_with or [])]
    data, loading = read_data(first, on_bad_image)
    wanted = metric_names(metrics)
    model = load_clip(Path(clip)) if clip else None
    curve = samplings(read_temperatures(temperatures), search.steps)
    how = full_name(search.description, checkpoint, members)
    folder = first.evaluation_folder(split, file_name(how))
    captioners = [load_captioner(each.checkpoint(checkpoint)) for each in members]
    data.examples(split)  # so that an unknown split leaves no folder behind
    make_folder(folder)
    start(devices, num_nodes)
    device = best_device()
    task = Task(
        [each.to(device) for each in captioners],
        *(data, split, search, loading),
        metrics=wanted,
        samplings=curve,
        clip=model,
    )
    findings = evaluate(task)
    if findings is None:
        return  # the first process reports
    summary = as_json(findings, task, how) | {"code": code_of(search)}
    write_findings(first, folder, findings, summary, alone=len(members) == 1)
    if findings.curve:
        name = full_name(sweep_name(search), checkpoint, members)
        write_curve(first.evaluation_folder(split, file_name(name)), findings, summary)
    report_run(first)
    print(json.dumps(summary, indent=2) if format == "json" else text(summary, findings.curve))


def code_of(search: Search) -> str:
    """Return the version of the code that generates and scores captions."""
    return version(["captioning.evaluation.evaluate", type(search).__module__])


def full_name(what: str, checkpoint: Which | None, members: Sequence[Run]) -> str:
    """Return a name of everything that determines the captions of a run."""
    words = [what]
    if checkpoint is not None and any(member.result != checkpoint for member in members):
        words.append(f"{checkpoint} checkpoint")
    if len(members) > 1:
        beside = members[0].folder.parent
        words += ["with", *(relpath(member.folder, beside) for member in members[1:])]
    return " ".join(words)


def sweep_name(search: Search) -> str:
    """Return a name of sampling at several temperatures, as long as a search may."""
    return " ".join([SWEEP, *search.limit()])


def file_name(words: str) -> str:
    """Turn a name into a folder's, of at most 255 characters, unlike that of any other name."""
    name = re.sub(r"[^a-z0-9._=]+", "-", words.lower())
    whole = name.replace("-", " ") == words and len(name) <= LONGEST
    return name if whole else f"{name[:LONGEST]}-{digest(words)}"


def read_data(run: Run, on_bad_image: OnBadImage | None) -> tuple[Dataset, Loading]:
    """Return a run's data set and how it was loaded; `on_bad_image` replaces that setting."""
    parser = Parser(prog=str(run.config_file))
    parser.add_argument("--data", type=Dataset)
    parser.add_class_arguments(Loading, "loading")
    wanted = {key: run.config[key] for key in ("data", "loading") if key in run.config}
    built = parser.build(parser.parse_object(wanted))
    loading: Loading = built.loading
    return built.data, replace(loading, on_bad_image=on_bad_image or loading.on_bad_image)


def write_findings(
    run: Run, folder: Path, findings: Findings, summary: dict[str, Any], alone: bool = True
) -> None:
    """Save an evaluation: captions in COCO's results format, references in COCO's format.

    `statistics.npz` has what each metric is computed from, so that rows can be tested.
    """
    captions = [
        {"image_id": image_id, "caption": caption}
        for image_id, caption in findings.captions.items()
    ]
    images = [
        {"id": example.image_id, "file_name": str(example.image.resolve())}
        for example in findings.examples
    ]
    references = [
        {"image_id": example.image_id, "caption": caption}
        for example in findings.examples
        for caption in example.captions
    ]
    annotations = [{"id": number, **reference} for number, reference in enumerate(references, 1)]
    write_json(folder / "references.json", {"images": images, "annotations": annotations})
    write_json(folder / "scores.json", findings.scores.by_image)
    statistics = findings.scores.statistics.items()
    numbers: dict[str, Any] = {metric: each.per_image for metric, each in statistics}
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **numbers)
    write(folder / "statistics.npz", arrays.getvalue())
    for name, content in (("captions.json", captions), ("metrics.json", summary)):
        write_json(folder / name, content)
        if alone:  # an ensemble's captions are not a result of this run
            write_json(run.folder / name, content)


def write_curve(folder: Path, findings: Findings, summary: dict[str, Any]) -> None:
    """Save the curve of quality against diversity, with the rows for comparison in its drawing."""
    kept = ("data", "split", "images", "rows", "diversity", "code")
    content = {name: summary[name] for name in kept}
    content["samples"] = SAMPLES
    content["points"] = [point._asdict() for point in findings.curve]
    write_json(folder / "temperatures.json", content)


def read_temperatures(given: str) -> list[float]:
    """Parse numbers separated by commas, possibly none."""
    try:
        return [float(word) for word in given.split(",") if given]
    except ValueError as error:
        raise InputError(
            f"--temperatures: expected numbers such as 0.3,0.5,1, got {given!r}"
        ) from error


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and run the command."""
    parser = Parser(prog="captioning evaluate", description=__doc__)
    parser.add_argument("run", nargs="?", help="run folder; by default the newest")
    parser.add_function_arguments(evaluate_run, skip={"run"})
    parser.set_defaults({"search": {"class_path": "captioning.search.Greedy"}})
    evaluate_run(**vars(parser.build(parser.read(arguments))))
    return 0
