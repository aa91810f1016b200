"""`captioning evaluate`: a run's captions of a split, scored with the COCO metrics."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from captioning.captioner import load_captioner
from captioning.clip_score import load_clip
from captioning.code_version import digest, version
from captioning.commands.configuration import Parser
from captioning.commands.score import metric_names
from captioning.commands.summary import text
from captioning.data.batching import OnBadImage
from captioning.data.dataset import Dataset
from captioning.device import best_device
from captioning.errors import InputError
from captioning.evaluation import Findings, Task, as_json, evaluate
from captioning.files import make_folder, write_json
from captioning.loaders import Loading
from captioning.processes import start
from captioning.report import report_run
from captioning.runs import Run, Which, newest_run, open_run
from captioning.search import Search
from captioning.temperatures import SAMPLES, samplings

METRICS = "Bleu,METEOR,ROUGE_L,CIDEr"  # the field's, and quick
SWEEP = "temperatures"  # as the search is called whose temperature goes up
LONGEST = 200  # letters of an evaluation's name that its folder is named by


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
    """Caption a split, score the captions, write both into the run folder and make its page.

    Args:
        search: How captions are made: Greedy, Beam, Sampling.
        run: Run folder; null: the newest one.
        ensemble_with: Runs to ensemble with this one; probabilities are averaged.
        split: Split of the run's data set: train, val or test.
        checkpoint: The best by validation, or the last; null: what each run says its result is.
        on_bad_image: Stop at a bad picture, or leave it out; null: as in training.
        metrics: Comma-separated, of Bleu, METEOR, ROUGE_L, CIDEr and SPICE; SPICE takes a twentieth
            of a second for each caption and reference.
        temperatures: Comma-separated sampling temperatures for a quality–diversity curve, e.g.
            0.3,0.5,1.
        clip: Folder of a CLIP model with its processor, as transformers saves them, to add
            CLIPScore and RefCLIPScore; nothing is downloaded.
        devices: GPUs of each machine, or processes on the CPU where there is none; any number
            gives the same captions and numbers. Under torchrun or SLURM: as many as those start.
        num_nodes: Number of machines.
        format: A table to read, or the content of metrics.json alone.
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
    data.examples(split)  # a split that is not there leaves no folder behind
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
        return  # the first process tells
    summary = as_json(findings, task, how) | {"code": code_of(search)}
    write(first, folder, findings, summary, alone=len(members) == 1)
    if findings.curve:
        name = full_name(SWEEP, checkpoint, members)
        write_curve(first.evaluation_folder(split, file_name(name)), findings, summary)
    report_run(first)
    print(json.dumps(summary, indent=2) if format == "json" else text(summary, findings.curve))


def code_of(search: Search) -> str:
    """Tell the code by which captions are made and scored."""
    return version(["captioning.evaluation", type(search).__module__])


def full_name(what: str, checkpoint: Which | None, members: Sequence[Run]) -> str:
    """Name all that decides the captions of a run."""
    words = [what]
    if checkpoint is not None and checkpoint != members[0].result:
        words.append(f"{checkpoint} checkpoint")
    if len(members) > 1:
        words.append("with " + " ".join(member.name for member in members[1:]))
    return " ".join(words)


def file_name(words: str) -> str:
    """Write a name as a folder's, which may have 255 letters and no more."""
    name = re.sub(r"[^a-z0-9.]+", "-", words.lower())
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}-{digest(name)}"


def read_data(run: Run, on_bad_image: OnBadImage | None) -> tuple[Dataset, Loading]:
    """Give the data set of a run and how it was read, but for bad pictures where that is told."""
    parser = Parser(prog=str(run.config_file))
    parser.add_argument("--data", type=Dataset)
    parser.add_class_arguments(Loading, "loading")
    wanted = {key: run.config[key] for key in ("data", "loading") if key in run.config}
    built = parser.build(parser.parse_object(wanted))
    loading: Loading = built.loading
    return built.data, replace(loading, on_bad_image=on_bad_image or loading.on_bad_image)


def write(
    run: Run, folder: Path, findings: Findings, summary: dict[str, Any], alone: bool = True
) -> None:
    """Keep an evaluation: captions in the COCO results form, references in the COCO form."""
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
    for name, content in (("captions.json", captions), ("metrics.json", summary)):
        write_json(folder / name, content)
        if alone:  # what several say together is no result of this run
            write_json(run.folder / name, content)


def write_curve(folder: Path, findings: Findings, summary: dict[str, Any]) -> None:
    """Keep quality against diversity, with the rows that a drawing of it is read by."""
    kept = ("data", "split", "images", "rows", "diversity", "code")
    content = {name: summary[name] for name in kept}
    content["samples"] = SAMPLES
    content["points"] = [point._asdict() for point in findings.curve]
    write_json(folder / "temperatures.json", content)


def read_temperatures(given: str) -> list[float]:
    """Read numbers with commas between them, perhaps none."""
    try:
        return [float(word) for word in given.split(",") if given]
    except ValueError as error:
        raise InputError(
            f"--temperatures: expected numbers such as 0.3,0.5,1, got {given!r}"
        ) from error


def main(arguments: Sequence[str]) -> int:
    """Parse, build, run."""
    parser = Parser(prog="captioning evaluate", description=__doc__)
    parser.add_argument("run", nargs="?", help="run folder; by default the newest")
    parser.add_function_arguments(evaluate_run, skip={"run"})
    parser.set_defaults({"search": {"class_path": "captioning.search.Greedy"}})
    evaluate_run(**vars(parser.build(parser.read(arguments))))
    return 0
