"""Command lines and YAML files checked against the signatures they fill."""

import difflib
import importlib
import inspect
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from captioning.errors import InputError

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


def split_files(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the configuration files of a command line, with their option, from all else."""
    words = iter(arguments)
    files: list[str] = []
    others: list[str] = []
    for word in words:
        if word == "--config":
            files += [word, *itertools.islice(words, 1)]
        elif word.startswith("--config="):
            files.append(word)
        else:
            others.append(word)
    return files, others
