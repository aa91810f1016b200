"""SPICE 1.0 from its own Java program, where the parser that it needs has been put beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pycocoevalcap import spice as pycocoevalcap_spice

from captioning.metrics.java import JavaProcess

_JAR = Path(pycocoevalcap_spice.__file__).with_name("spice-1.0.jar")
_PARSER = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")

# Its serialisation library (fst 2.47) looks into classes that Java 17 and later keep closed.
_OPENED = ("lang", "math", "util", "net", "text", "util.concurrent")
_OPTIONS = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENED]
_OPTIONS += ["--add-opens=java.sql/java.sql=ALL-UNNAMED", "-Xmx8G"]


def missing_parser() -> str | None:
    """Why SPICE cannot be computed here, in one line; None where it can."""
    folder = _JAR.with_name("lib")
    absent = [name for name in _PARSER if not (folder / name).exists()]
    if not absent:
        return None
    needed = " and ".join(absent)
    return f"SPICE needs the Stanford parser: put {needed} into pycocoevalcap's spice/lib"


def spice(
    candidates: Iterable[str], references: Iterable[Sequence[str]]
) -> tuple[float, list[float]]:
    """F-score over scene-graph tuples (Anderson et al. 2016): the mean and each image's, in [0, 1].

    Not a number where neither a candidate nor its references have a tuple, as in pycocoevalcap.
    """
    pairs = enumerate(zip(candidates, references, strict=True))
    images = [{"image_id": i, "test": test, "refs": list(refs)} for i, (test, refs) in pairs]
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "captions.json"), Path(folder, "scores.json")
        source.write_text(json.dumps(images), encoding="utf-8")
        arguments = ["-jar", str(_JAR), str(source), "-out", str(target), "-subset", "-silent"]
        with JavaProcess("SPICE", _OPTIONS + arguments) as java:
            java.finish("")
        answers = json.loads(target.read_text(encoding="utf-8"))
    f_scores = {answer["image_id"]: answer["scores"]["All"]["f"] for answer in answers}
    scores = [float("nan") if f_scores[i] is None else f_scores[i] for i in range(len(images))]
    return sum(scores) / len(scores), scores
