"""Captions of images as records, and files of them: JSONL or Parquet.

A record holds `image`, the image's name; `captions`, each with its `caption` and its
`log_probability` (in nats, including END); and, if the image could not be opened, `error`.
"""

import itertools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from captioning.errors import InputError
from captioning.files import whole

Record: TypeAlias = dict[str, Any]

ROWS = 2**16  # per row group of Parquet, which is held in memory


def as_line(record: Record) -> str:
    """Return a record as a line of JSON."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write a file atomically, in the format given by its suffix."""
    with whole(path) as partial, partial.open("wb") as file:
        FORMATS[path.suffix](file, records)
        file.flush()
        os.fsync(file.fileno())


def write_json_lines(file: BinaryIO, records: Iterable[Record]) -> None:
    """Write one object per line."""
    file.writelines(as_line(record).encode() for record in records)


def write_parquet(file: BinaryIO, records: Iterable[Record]) -> None:
    """Write the columns `image`, `captions` and `error`."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    text = pa.string()
    caption = pa.struct({"caption": text, "log_probability": pa.float64()})
    schema = pa.schema({"image": text, "captions": pa.list_(caption), "error": text})
    waiting = iter(records)
    with ParquetWriter(file, schema) as writer:
        while rows := list(itertools.islice(waiting, ROWS)):
            writer.write_table(pa.Table.from_pylist(rows, schema))


FORMATS = {".jsonl": write_json_lines, ".parquet": write_parquet}


def check_format(path: Path) -> None:
    """Refuse a file of unknown format, or Parquet without pyarrow."""
    if path.suffix not in FORMATS:
        raise InputError(f"--output: expected a name that ends in .jsonl or .parquet, got {path}")
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise InputError(
                f"--output {path}: Parquet needs pyarrow: pip install 'captioning[parquet]', or "
                "name a .jsonl file"
            ) from error
