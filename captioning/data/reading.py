"""Read text files strictly: an error is one line that names the file and the place in it."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from captioning.data.dataset import ImageId
from captioning.errors import InputError

T = TypeVar("T")


def read_text(path: Path) -> str:
    """Read UTF-8 with or without a byte order mark; any line ending becomes a line feed."""
    try:
        return decode(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: expected a text file ({error.strerror})") from error


def decode(content: bytes, where: str) -> str:
    """Decode a file's bytes as `read_text` does."""
    with decoding(where):
        return io.StringIO(content.decode("utf-8-sig"), newline=None).getvalue()


@contextmanager
def decoding(where: str) -> Iterator[None]:
    """Turn the UnicodeDecodeError of a whole file into an InputError."""
    try:
        yield
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{where}, line {line}: expected UTF-8, got byte {error.object[error.start]:#04x}; "
            "save the file as UTF-8"
        ) from error


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each line that is not blank, preceded by its place, `path, line 7`.

    Only a line feed ends a line: Unicode's other separators may occur inside a caption.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line


def read_table(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of a CSV file with a header, preceded by its place; extra columns are allowed.

    Quotes are parsed strictly, because a stray one would swallow the lines up to the next.
    """
    reader = csv.reader(io.StringIO(read_text(path)), strict=True)
    try:
        header = next(reader, [])
        if not set(columns) <= set(header) or len(set(header)) < len(header):
            raise InputError(
                f"{path}: expected a header with the columns {', '.join(columns)}, each once, "
                f"got {','.join(header)!r:.80}"
            )
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if cells and len(cells) != len(header):
                raise InputError(
                    f"{where}: expected {len(header)} cells, got {len(cells)}; "
                    "a caption with a comma stands in double quotes"
                )
            if cells:
                yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: not CSV ({error}); a cell with a quote stands in "
            "double quotes, the quote doubled"
        ) from error


def read_json(path: Path, fields: frozenset[str]) -> Any:
    """Read a JSON file, keeping only these fields of its objects.

    Karpathy's COCO file repeats every caption word by word: dropping those lists halves the memory.
    """

    def kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in pairs if name in fields}

    return parse_json(read_text(path), str(path), kept)


def parse_json(
    text: str, where: str, made: Callable[[list[tuple[str, Any]]], dict[str, Any]] = dict
) -> Any:
    """Parse a JSON text; `made` builds an object from its fields."""
    try:
        return json.loads(text, object_pairs_hook=made)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: expected JSON, but {error}") from error


def read_yaml(path: Path) -> Any:
    """Read a YAML file; an impossible date in it is a ValueError, not a YAMLError."""
    text = read_text(path)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected YAML, but {' '.join(str(error).split())}") from error


def field(record: Any, name: str, kind: type[T], where: str) -> T:
    """Return a field of a JSON object, which must exist and be of this type."""
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected an object, got {type(record).__name__}")
    if name not in record:
        raise InputError(
            f"{where}: the field {name!r} is missing; is this the right reader for the file?"
        )
    value = record[name]
    if not isinstance(value, kind):
        raise InputError(f"{where}: expected {name!r} to be {kind.__name__}, got {value!r:.60}")
    return value


def identifier(record: Any, name: str, where: str) -> ImageId:
    """Return a field that is a whole number or text."""
    value = field(record, name, object, where)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise InputError(f"{where}: expected {name!r} to be a whole number or text, got {value!r:.60}")


def written_captions(record: dict[str, Any], where: str) -> list[str]:
    """Return the field `captions`, a list, or the field `caption`, one text, as a list."""
    if "captions" not in record:
        return [field(record, "caption", str, where)]
    captions = field(record, "captions", list, where)
    if "caption" in record or not all(isinstance(caption, str) for caption in captions):
        raise InputError(
            f"{where}: expected either 'caption', text, or 'captions', a list of texts"
        )
    return captions
