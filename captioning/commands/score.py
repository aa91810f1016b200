"""`captioning score`: score any captioner's results file with the COCO metrics."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from captioning.commands.alignment import aligned
from captioning.commands.configuration import Parser
from captioning.data.coco import read_references
from captioning.data.dataset import SPLITS, ImageId, check_split
from captioning.data.karpathy import read_karpathy
from captioning.data.reading import parse_json, read_text
from captioning.data.results import read_results
from captioning.errors import InputError
from captioning.files import writing
from captioning.metrics import (
    METRICS,
    Scorer,
    Scores,
    check_metrics,
    compare,
    confidence_intervals,
)
from captioning.metrics.uncertainty import RESAMPLES, described

Captions: TypeAlias = Mapping[ImageId, str]
References: TypeAlias = Mapping[ImageId, Sequence[str]]

FLAGS = {
    "partial": "score only the images that the results hold, where some are missing",
    "intervals": "print each metric's 95% confidence interval, by the bootstrap over images",
}


def score_results(
    results: str,
    references: str,
    against: str | None = None,
    metrics: str | None = None,
    split: str | None = None,
    subset: str | None = None,
    partial: bool = False,
    intervals: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    per_image: str | None = None,
    format: Literal["text", "json"] = "text",
) -> None:
    """Score a results file, and print each metric with a signature of how it was computed.

    Args:
        results: Results in the COCO format: a list of {"image_id": ..., "caption": ...}.
        references: COCO captions, or Karpathy's file with --split and without --subset.
        against: Other results of the same images to compare with: prints the difference, its
            interval by the paired bootstrap, and its p-value by approximate randomisation.
        metrics: Some of Bleu,METEOR,ROUGE_L,CIDEr,SPICE, separated by commas; null for all that
            can be computed.
        split: Split of Karpathy's file, which is --subset if that is given, else --references.
        subset: File of the images to score, if the references contain more: Karpathy's, with
            --split, or a JSON list of ids.
        partial: Score only the images in the results, if some are missing.
        intervals: Print each metric's 95% confidence interval, by the bootstrap over images.
        resamples: Number of sets of images drawn for an interval or a p-value.
        seed: Seed of these draws.
        per_image: File for the scores of each image, as JSON.
        format: A table, or a single JSON object.
    """
    check_options(resamples, seed, per_image)
    paths = [results] if against is None else [results, against]
    with Scorer(metric_names(metrics)) as scorer:  # first, so that METEOR loads its table meanwhile
        files = [read_results(Path(path)) for path in paths]
        known = read_known(references, None if subset else split)
        chosen = read_subset(Path(subset), split, known) if subset else list(known)
        images = shared(chosen, files) if partial else chosen
        wanted = {image: known[image] for image in images}
        for path, captions in zip(paths, files, strict=True):
            check(path, captions, known, wanted, references)
        names = [split or (subset and Path(subset).name)]
        names += [f"{len(images)}-of-{len(chosen)}-images"] if partial else []
        label = ",".join(filter(None, names))
        scores = [score_file(scorer, captions, wanted, label) for captions in files]
    summary = as_json(scores, intervals, resamples, seed)
    for reason in scores[0].left_out.values():
        print(f"left out: {reason}", file=sys.stderr)
    print(json.dumps(summary, indent=2) if format == "json" else table(summary, paths))
    if per_image:
        write_per_image(Path(per_image), scores[0])


def check_options(resamples: int, seed: int, per_image: str | None) -> None:
    """Refuse, before any work, options that would fail after it."""
    for option, number, least in (("resamples", resamples, 1), ("seed", seed, 0)):
        if number < least:
            raise InputError(f"--{option}: expected {least} or more, got {number}")
    if per_image and not Path(per_image).parent.is_dir():
        raise InputError(f"--per_image: no folder {Path(per_image).parent}; make it, or correct it")
    if per_image and Path(per_image).is_dir():
        raise InputError(f"--per_image: {per_image} is a folder; name a file in it")


def metric_names(names: str | None) -> list[str] | None:
    """Split names at commas, ignoring case.

    Raises InputError for a metric that is unknown or cannot be computed on this machine.
    """
    if names is None:
        return None
    known = {name.lower(): name for name in METRICS}
    parts = [name.strip() for name in names.split(",")]
    chosen = list(dict.fromkeys(known.get(part.lower(), part) for part in parts))
    check_metrics(chosen)
    return chosen


def read_known(path: str, split: str | None) -> References:
    """Read the captions to score against, from a COCO file or a split of Karpathy's."""
    if split is None:
        return read_references(Path(path))
    check_split(split, SPLITS, path)
    examples = read_karpathy(Path(path), Path(), split)
    return {example.image_id: example.captions for example in examples}


def read_subset(path: Path, split: str | None, known: References) -> list[ImageId]:
    """Read which images to score, in the order of the references."""
    if split is not None:
        ids: Any = list(read_known(str(path), split))
    else:
        ids = parse_json(read_text(path), str(path))
    if not isinstance(ids, list) or not all(type(image) in (int, str) for image in ids):
        raise InputError(
            f"{path}: expected a JSON list of image ids; of Karpathy's file, name the --split"
        )
    if unknown := [image for image in ids if image not in known]:
        raise InputError(
            f"{path}: {len(unknown)} of its {len(ids)} images are not among the references, the "
            f"first is {unknown[0]!r}; give the references of these images"
        )
    chosen = set(ids)
    return [image for image in known if image in chosen]


def shared(images: Sequence[ImageId], files: Sequence[Captions]) -> list[ImageId]:
    """Keep the images that have a caption in every file."""
    return [image for image in images if all(image in captions for captions in files)]


def check(
    path: str, captions: Captions, known: References, wanted: References, references: str
) -> None:
    """Refuse captions of unknown images and images without a caption; report empty captions."""
    if unknown := [image for image in captions if image not in known]:
        alike = [image for image in known if str(image) == str(unknown[0])]
        mend = f"write {alike[0]!r}" if alike else "are these the right references?"
        raise InputError(
            f"{path}: {len(unknown)} of its {len(captions)} images are not in {references}, the "
            f"first is {unknown[0]!r}; {mend}"
        )
    if missing := [image for image in wanted if image not in captions]:
        raise InputError(
            f"{path}: {len(missing)} of {len(wanted)} images have no caption, the first is "
            f"{missing[0]!r}; add them, name the images to score by --subset, or score those that "
            "are there by --partial"
        )
    if not wanted:
        raise InputError(f"{path}: none of its images are to be scored; check --subset and --split")
    if empty := sum(not captions[image].strip() for image in wanted):
        print(
            f"{path}: {empty} of {len(wanted)} captions are empty: each scores 0", file=sys.stderr
        )


def score_file(scorer: Scorer, captions: Captions, references: References, split: str) -> Scores:
    """Score the captions of the images in `references`."""
    candidates = {image: captions[image] for image in references}
    return scorer.score(candidates, references, progress=sys.stderr.isatty(), split=split)


def as_json(scores: Sequence[Scores], intervals: bool, resamples: int, seed: int) -> dict[str, Any]:
    """Return the output: the scores of results and, if there are others, their differences."""
    ours = scores[0]
    signature = ours.signature
    summary: dict[str, Any] = {"metrics": ours.corpus}
    if intervals:
        generator = np.random.default_rng(seed)
        spans = confidence_intervals(ours.statistics, generator, resamples)
        summary["intervals"] = {name: span._asdict() for name, span in spans.items()}
    for theirs in scores[1:]:
        generator = np.random.default_rng(seed)
        found = compare(ours.statistics, theirs.statistics, generator, resamples)
        differences = {
            name: {"difference": each.value, **each.interval._asdict(), "p_value": each.p_value}
            for name, each in found.items()
        }
        summary["against"] = {
            "metrics": theirs.corpus,
            "differences": differences,
        }
        signature += f"|p-value:approximate-randomisation,{resamples},seed-{seed}"
    if len(summary) > 1:
        signature += described(resamples, seed)
    return {**summary, "signature": signature}


def table(summary: Mapping[str, Any], paths: Sequence[str]) -> str:
    """Format the metrics for a terminal, one per line, all × 100."""
    rows = [
        ["× 100", "score"],
        *([name, cell(value)] for name, value in summary["metrics"].items()),
    ]
    if "intervals" in summary:
        rows[0].append("95% interval")
        for row, span in zip(rows[1:], summary["intervals"].values(), strict=True):
            row.append(f"[{cell(span['low'])}, {cell(span['high'])}]")
    if "against" in summary:
        rows[0] += ["against", "difference", "95% interval", "p"]
        found = summary["against"]["differences"].values()
        for row, other, each in zip(
            rows[1:], summary["against"]["metrics"].values(), found, strict=True
        ):
            row += [cell(other), cell(each["difference"], "+")]
            row += [f"[{cell(each['low'], '+')}, {cell(each['high'], '+')}]"]
            row += [f"{each['p_value']:.4f}"]
    return "\n".join([" against ".join(paths), *aligned(rows, gap=3), summary["signature"]])


def cell(value: float, sign: str = "") -> str:
    """Format a number × 100; `sign` + also shows the sign of positive ones."""
    return f"{100 * value:{sign}.2f}"


def write_per_image(path: Path, scores: Scores) -> None:
    """Write the scores of each image, by id."""
    content = json.dumps(scores.by_image, indent=1, ensure_ascii=False)
    with writing(path, "choose another --per_image"):
        # In place, because it may be /dev/stdout; lone surrogates in ids become JSON escapes.
        path.write_text(content, encoding="utf-8", errors="backslashreplace")


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and run the command."""
    parser = Parser(prog="captioning score", description=__doc__)
    parser.add_argument("results", help="results file in the COCO form")
    parser.add_function_arguments(score_results, skip={"results", "partial", "intervals"})
    for flag, meaning in FLAGS.items():
        parser.add_argument(f"--{flag}", action="store_true", help=meaning)
    score_results(**vars(parser.build(parser.read(arguments))))
    return 0
