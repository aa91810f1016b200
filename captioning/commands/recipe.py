"""Recipes: how a row's captioners are made, and what tells two recipes apart."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

from jsonargparse import Namespace

from captioning.commands.run_folder import run_folder
from captioning.data.dataset import Dataset
from captioning.data.image import image_status
from captioning.data.paths import locate
from captioning.errors import InputError
from captioning.files import digest
from captioning.finished import read_finished
from captioning.runs import Run

DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")  # as class paths and functions' names are


@dataclass(frozen=True)
class Recipe:
    """How a row's captioners are made, independent of the seed.

    Attributes:
        words: The command line of `captioning train`, without seed and name.
        config: The configuration to which it resolves.
        settings: Digest of the resolved configuration, the data, the files that it names, and the
            run that training starts from.
        code: Digest of the source code that the configuration uses.
    """

    words: tuple[str, ...]
    config: Namespace
    settings: str
    code: str

    @property
    def name(self) -> str:
        """The run's `--name`: its own, then the digests of its settings and code."""
        return "-".join(
            [*([self.config.name] if self.config.name else []), self.settings, self.code]
        )

    @property
    def data(self) -> str:
        """The data set's name."""
        return str(vars(self.config.data.init_args).get("name"))

    def run(self, seed: int) -> Run:
        config = self.config.clone()
        config.seed, config.name = seed, self.name
        return run_folder(config)

    def seconds(self) -> float | None:
        """Return how long such runs took on average, or None if there were none.

        Such are runs of these settings, with any code, else all of this data set and objective.
        """
        plain = self.config.clone()
        plain.name = ""
        alike = run_folder(plain).group
        for pattern in (f"*-{self.settings}-*-seed*", f"{alike}-*"):
            files = sorted(Path(self.config.runs).glob(f"{pattern}/finished.json"))
            found = [read_finished(Run(file.parent)).seconds for file in files]
            times = [seconds for seconds in found if seconds is not None]
            if times:
                return mean(times)
        return None


def without_encoder(config: Namespace) -> Namespace:
    """Return a configuration without its encoder."""
    rest = config.clone()
    del rest["encoder"]
    return rest


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a configuration, but no key."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for each in value.values() for text in texts(each))
    elif isinstance(value, list):
        yield from (text for each in value for text in texts(each))


def modules(settings: Any) -> list[str]:
    """Return what may be the modules of the classes and functions that settings name."""
    return [text.rpartition(".")[0] for text in texts(settings) if DOTTED.fullmatch(text)]


def contents(settings: Any) -> dict[str, str]:
    """Return the checksum of each file that settings name, such as an encoder's weights."""
    files = {text: file_of(text) for text in texts(settings)}
    return {text: checksum(file) for text, file in files.items() if file is not None}


def file_of(text: str) -> Path | None:
    """Return the file that a text names, perhaps in the data folder; None if it names none."""
    try:
        path = locate(text)
        return path if path.is_file() else None
    except (InputError, OSError, ValueError):
        return None


@cache
def checksum(file: Path) -> str:
    """Return a file's checksum, which is computed only once."""
    return digest(file, "sha256")


def fingerprint(data: Dataset, splits: Iterable[str]) -> str:
    """Hash each image's id, size in bytes and captions; the files' location does not count."""
    known = sha256()
    for split in splits:
        for example in data.examples(split):
            status = image_status(example.image)
            size = status[0] if status else None
            known.update(f"{split} {example.image_id!r} {size} {example.captions!r}\n".encode())
    return known.hexdigest()
