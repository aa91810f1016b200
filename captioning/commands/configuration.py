"""Command lines and YAML files checked against the signatures they fill."""

import difflib
import importlib
import inspect
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from captioning.errors import InputError

# Where the data sets' configuration files are, one a data set.
DATA = Path("configs/data")

UNKNOWN = re.compile(
    r"Option '(?P<option>[^']+)' is not accepted|unrecognized arguments: --(?P<flag>\S+)"
)
OWNER = re.compile(r"class_path='(?P<path>[\w.]+)'")
NEAREST = "the nearest valid key is"
# What parsers inside the parser say of themselves; and of what may be null, what it is not.
INNER = re.compile(r"(?<=: )[\w. ]+: (?=Parser key|Option|the following)| \(see [^)]+ --help\)")
UNION = re.compile(r"Does not validate against any of the Union .*? Errors: - (.*?) - Expected .*")


class Parser(ArgumentParser):
    """jsonargparse's parser, whose errors are one line that names the nearest valid key.

    Options may be written with dashes or underscores, but not cut short.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"allow_abbrev": False})

    def read(self, arguments: Sequence[str]) -> Namespace:
        """Parse a command line, `--like-this` taken for `--like_this`."""
        return self.parse_args([with_underscores(word) for word in arguments])

    def build(self, config: Namespace) -> Namespace:
        """Make the objects that a configuration names; tell in one line what they refuse."""
        try:
            built: Namespace = self.instantiate(config)
        except InputError:
            raise
        except (TypeError, ValueError, ImportError) as error:
            told = error.__cause__ or error.__context__  # an object that may be null hides its own
            if isinstance(told, InputError):
                raise told from error
            raise InputError(f"{self.prog}: {' '.join(str(error).split())}") from error
        return built

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong, and what was probably meant."""
        text = " ".join(message.split()).split(" Got value:")[0]
        text = INNER.sub("", UNION.sub(r"\1", text))
        hint = "" if NEAREST in text else self.hint(message)
        more = f" (see {self.prog} --help)" if self.prog.startswith("captioning ") else ""
        raise InputError(f"{self.prog}: {text}{hint}{more}") from ex

    def hint(self, message: str) -> str:
        """Name the valid keys nearest to the unknown one that `message` complains of."""
        found = UNKNOWN.search(message)
        if not found:
            return ""
        unknown = (found["option"] or found["flag"]).split("=")[0]
        owner = OWNER.search(message)
        valid = list(parameters(owner["path"])) if owner else list(self.keys())
        if unknown.split(".")[0] not in {key.split(".")[0] for key in valid}:
            unknown, valid = unknown.split(".")[0], [key.split(".")[0] for key in valid]
        close = difflib.get_close_matches(unknown, valid, n=1, cutoff=0.0)
        return f"; {NEAREST} '{close[0]}'" if close else ""

    def keys(self) -> Iterator[str]:
        """List every key of this command."""
        return (action.dest for action in self._actions if action.dest != "help")


def with_underscores(word: str) -> str:
    """Spell an option's name with underscores; its value stays."""
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    return "--" + name.replace("-", "_") + equals + value


def parameters(class_path: str) -> Iterator[str]:
    """List the arguments of a class's constructor."""
    module, _, name = class_path.rpartition(".")
    constructor = vars(importlib.import_module(module))[name]
    return iter(inspect.signature(constructor).parameters)


def data_file(name: str) -> Path:
    """Return the path of a data set's configuration file, given by its name or its path."""
    path = Path(name) if Path(name).suffix else DATA / f"{name}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(each.stem for each in DATA.glob("*.yaml"))) or "none"
        raise InputError(f"--data: {path} does not exist; expected a YAML file, or one of: {there}")
    return path


def config_texts(arguments: Sequence[str]) -> list[str]:
    """Return the content of every configuration file of a command line, in its order."""
    words = separated(arguments)
    return [content(value) for word, value in pairwise(words) if word == "--config"]


def without_known_files(arguments: Sequence[str], known: Collection[str]) -> list[str]:
    """Leave out the configuration files before the first whose content is not `known`.

    A file after that one stays, known or not: it still wins over the one that changed.
    """
    words = iter(separated(arguments))
    kept: list[str] = []
    changed = False
    for word in words:
        if word != "--config":
            kept.append(word)
            continue
        value = next(words)
        changed = changed or content(value) not in known
        if changed:
            kept += [word, value]
    return kept


def separated(arguments: Sequence[str]) -> list[str]:
    """Write each `--config=FILE` as two words."""
    joined = "--config="
    return [
        part
        for word in arguments
        for part in (
            ("--config", word.removeprefix(joined)) if word.startswith(joined) else (word,)
        )
    ]


def content(value: str) -> str:
    """Return the content of a configuration file; `--config` also takes YAML itself."""
    try:
        return Path(value).read_text(encoding="utf-8")
    except OSError:  # no such file, or too long for the name of one
        return value
