"""Parse command lines and YAML files against the signatures that they fill."""

import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from captioning.data.reading import decoding
from captioning.errors import InputError

# Where the data sets' configuration files are, one a data set.
DATA = Path("configs/data")

UNKNOWN = re.compile(
    r"Option '(?P<option>[^']+)' is not accepted|unrecognized arguments: --(?P<flag>\S+)"
)
OWNER = re.compile(r"class_path='(?P<path>[\w.]+)'")
NO_CLASS = re.compile(
    r"Expected a dot import path string: (?P<name>\w+)$|no attribute '(?P<attribute>\w+)'"
)
NO_CHOICE = "Expected an instantiatable class"
NEAREST = "the nearest valid key is"
# The names of nested parsers in messages; and of a union's errors, all but the one that matters.
INNER = re.compile(r"(?<=: )[\w. ]+: (?=Parser key|Option|the following)| \(see [^)]+ --help\)")
UNION = re.compile(r"Does not validate against any of the Union .*? Errors: - (.*?) - Expected .*")


class Parser(ArgumentParser):
    """jsonargparse's parser, with one-line errors that name the nearest valid key.

    Options may be written with dashes or underscores, but not abbreviated.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"allow_abbrev": False})

    def read(self, arguments: Sequence[str]) -> Namespace:
        """Parse a command line; `--like-this` means `--like_this`."""
        return self.parse_args([with_underscores(word) for word in arguments])

    def parse_path(self, path: Any, *arguments: Any, **options: Any) -> Namespace:
        """Parse a file; a one-line InputError names it if it is not UTF-8."""
        with decoding(str(path)):
            parsed: Namespace = super().parse_path(path, *arguments, **options)
            return parsed

    def build(self, config: Namespace) -> Namespace:
        """Build the objects of a configuration; their errors become one-line InputErrors."""
        try:
            built: Namespace = self.instantiate(config)
        except InputError:
            raise
        except (TypeError, ValueError, ImportError) as error:
            told = error.__cause__ or error.__context__  # an optional object hides its own error
            if isinstance(told, InputError):
                raise told from error
            raise InputError(f"{self.prog}: {' '.join(str(error).split())}") from error
        return built

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise InputError with what is wrong and what was probably meant."""
        text = " ".join(message.split()).split(" Got value:")[0]
        text = INNER.sub("", UNION.sub(r"\1", text))
        hint = "" if NEAREST in text else self.hint(message) or hint_at_class(text)
        more = f" (see {self.prog} --help)" if self.prog.startswith("captioning ") else ""
        raise InputError(f"{self.prog}: {text}{hint}{more}") from ex

    def hint(self, message: str) -> str:
        """Return a hint at the valid key nearest to the unknown one in `message`."""
        found = UNKNOWN.search(message)
        if not found:
            return ""
        unknown = (found["option"] or found["flag"]).split("=")[0]
        owner = OWNER.search(message)
        valid = list(parameters(owner["path"])) if owner else list(self.keys())
        same = [key for key in valid if key.split(".")[-1] == unknown.split(".")[-1]]
        if same:
            return f"; {NEAREST} '{same[0]}'"
        if unknown.split(".")[0] not in {key.split(".")[0] for key in valid}:
            unknown, valid = unknown.split(".")[0], [key.split(".")[0] for key in valid]
        close = difflib.get_close_matches(unknown, valid, n=1, cutoff=0.0)
        return f"; {NEAREST} '{close[0]}'" if close else ""

    def keys(self) -> Iterator[str]:
        """Return all keys of this command."""
        return (action.dest for action in self._actions if action.dest != "help")


def hint_at_class(text: str) -> str:
    """Return a hint at the class that a message's class, which is unknown or abstract, may mean."""
    if NO_CHOICE in text:
        return "; name a class of that kind, before its arguments"
    found = NO_CLASS.search(text)
    known = {
        name
        for module in [*sys.modules.values()]
        if module.__name__.startswith("captioning.")
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__.startswith("captioning.")
    }
    unknown = found and (found["name"] or found["attribute"])
    close = difflib.get_close_matches(unknown, known, n=1) if unknown else []
    return f"; the nearest class is {close[0]!r}" if close else ""


def with_underscores(word: str) -> str:
    """Write an option's name with underscores, leaving its value as it is."""
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    return "--" + name.replace("-", "_") + equals + value


def parameters(class_path: str) -> Iterator[str]:
    """Return the names of the arguments of a class's constructor."""
    module, _, name = class_path.rpartition(".")
    constructor = vars(importlib.import_module(module))[name]
    return iter(inspect.signature(constructor).parameters)


def look_up(path: str | Path, source: Path) -> Path:
    """Find a path that the file `source` names: in the working directory, else above `source`.

    Of the folders above, the nearest that has it counts. What is nowhere is returned as given.
    """
    places = [Path(), *source.absolute().parents]
    return next((place / path for place in places if (place / path).exists()), Path(path))


def data_file(name: str, source: Path) -> Path:
    """Return a data set's configuration file, by its path or, as `source` would, by its name."""
    path = Path(name) if Path(name).suffix else look_up(DATA / f"{name}.yaml", source)
    if not path.is_file():
        known = look_up(DATA, source).glob("*.yaml")
        there = ", ".join(sorted(each.stem for each in known)) or "none"
        raise InputError(f"--data: {path} does not exist; expected a YAML file, or one of: {there}")
    return path
