"""`captioning evaluate`: a run's captions of a split, scored with the COCO metrics."""

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from captioning.captioner import load_captioner
from captioning.commands.configuration import Parser
from captioning.data.dataset import Dataset
from captioning.evaluation import Evaluation, as_json, evaluate
from captioning.loaders import Loading
from captioning.report import main as report
from captioning.runs import Run, newest_run, open_run
from captioning.search import Search

COLUMNS = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr", "SPICE")


def evaluate_run(
    search: Search,
    run: str | None = None,
    ensemble_with: list[str] | None = None,
    split: str = "test",
    checkpoint: Literal["best", "last"] = "best",
    format: Literal["text", "json"] = "text",
) -> None:
    """Caption a split, score the captions, write both into the run folder and make its page.

    Args:
        search: How captions are made: Greedy, Beam, Sampling.
        run: Run folder; null: the newest one.
        ensemble_with: Run folders whose captioners speak with this one's, probabilities averaged.
        split: Split of the run's data set: train, val or test.
        checkpoint: The best by validation, or the last.
        format: A table to read, or the content of metrics.json alone.
    """
    first = open_run(newest_run() if run is None else Path(run))
    members = [first, *(open_run(Path(other)) for other in ensemble_with or [])]
    data, loading = read_data(first)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    captioners = [load_captioner(each.checkpoint(checkpoint)).to(device) for each in members]
    evaluation = evaluate(captioners, data, split, search, loading)
    name = search.description + (f" ensemble of {len(members)}" if len(members) > 1 else "")
    summary = as_json(evaluation, data.name, split, name)
    folder = first.evaluation_folder(split, re.sub(r"[^a-z0-9.]+", "-", name.lower()))
    write(first, folder, evaluation, summary, data)
    report([str(first.folder)])
    print(json.dumps(summary, indent=2) if format == "json" else table(summary))


def read_data(run: Run) -> tuple[Dataset, Loading]:
    """Give the data set of a run and how it was read."""
    parser = Parser(prog=str(run.config_file))
    parser.add_argument("--data", type=Dataset)
    parser.add_class_arguments(Loading, "loading")
    wanted = {key: run.config[key] for key in ("data", "loading")}
    built = parser.instantiate(parser.parse_object(wanted))
    return built.data, built.loading


def write(
    run: Run, folder: Path, evaluation: Evaluation, summary: dict[str, Any], data: Dataset
) -> None:
    """Keep an evaluation: captions in the COCO results form, references in the COCO form."""
    examples = {example.image_id: example for example in data.examples(summary["split"])}
    captions = [
        {"image_id": image_id, "caption": caption}
        for image_id, caption in evaluation.captions.items()
    ]
    images = [
        {"id": image_id, "file_name": str(examples[image_id].image.resolve())}
        for image_id in evaluation.captions
    ]
    references = [
        {"image_id": image_id, "caption": caption}
        for image_id in evaluation.captions
        for caption in examples[image_id].captions
    ]
    annotations = [{"id": number, **reference} for number, reference in enumerate(references, 1)]
    scores = {
        str(image_id): {
            name: float(values[row]) for name, values in evaluation.scores.per_image.items()
        }
        for row, image_id in enumerate(evaluation.scores.images)
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "references.json", {"images": images, "annotations": annotations})
    write_json(folder / "scores.json", scores)
    for name, content in (("captions.json", captions), ("metrics.json", summary)):
        write_json(folder / name, content)
        shutil.copyfile(folder / name, run.folder / name)


def write_json(path: Path, content: Any) -> None:
    """Write a file that is there whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False))
    partial.replace(path)


def table(summary: dict[str, Any]) -> str:
    """Lay the rows out for a terminal, all metrics × 100."""
    rows = {"captioner": summary["metrics"]} | summary["rows"]
    columns = [name for name in COLUMNS if name in summary["metrics"]]
    width = max(map(len, rows))
    what = f"{summary['data']} {summary['split']}, {summary['search']}"
    lines = [
        f"{what}, {summary['images']} pictures, × 100",
        " " * width + "".join(f"{name:>9}" for name in columns),
    ]
    for row, values in rows.items():
        lines.append(f"{row:<{width}}" + "".join(f"{100 * values[name]:9.1f}" for name in columns))
    if summary["world"]:
        shares = (
            f"{name.replace('_', ' ')} {share:.1%}" for name, share in summary["world"].items()
        )
        lines.append("captions: " + ", ".join(shares))
    lines += [f"{metric} left out: {reason}" for metric, reason in summary["left out"].items()]
    return "\n".join([*lines, summary["signature"]])


def main(arguments: Sequence[str]) -> int:
    """Parse, build, run."""
    parser = Parser(prog="captioning evaluate", description=__doc__)
    parser.add_argument("runs", nargs="?", help="run folder; by default the newest")
    parser.add_function_arguments(evaluate_run, skip={"run"})
    parser.set_defaults({"search": {"class_path": "captioning.search.Greedy"}})
    inputs = vars(parser.instantiate(parser.read(arguments)))
    evaluate_run(run=inputs.pop("runs"), **inputs)
    return 0
