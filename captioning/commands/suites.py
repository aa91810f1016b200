"""Suite files: the rows of a comparison, each by its additions to a data set's configuration."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from captioning.commands.chain import NOT_ITS_OWN
from captioning.commands.configuration import look_up
from captioning.comparison.compared import Published
from captioning.data.reading import read_yaml
from captioning.errors import InputError
from captioning.report.columns import COLUMNS
from captioning.runs import numbers

# Options of `captioning train` that the plan sets for each run.
PLANNED = NOT_ITS_OWN | {"seed", "name", "runs", "search", "metrics", "temperatures"}

# The keys of each part of a suite file, and the types of their values.
Keys: TypeAlias = Mapping[str, type]
PART: Keys = {"configs": list, "options": dict}
ROW: Keys = {**PART, "from_row": str, "ensemble_of": str, "published": dict}
EVALUATE: Keys = {"split": str, "search": dict, "metrics": list, "temperatures": list}
VARIANT: Keys = {**PART, "published": dict}
PUBLISHED: Keys = {"source": str, "sure": str, "numbers": dict, "data": str}
SUITE: Keys = {
    **PART,
    "rows": dict,
    "variants": dict,
    "evaluate": dict,
    "baseline": str,
    "seeds": int,
    "minutes": dict,
}


@dataclass(frozen=True)
class Row:
    """A row of a comparison.

    Attributes:
        name: With the name of its variant, if there are several.
        options: Options of `captioning train` other than data, seed and folder.
        from_row: Row from whose captioner, of the same seed, training starts.
        ensemble_of: Row whose captioners, of all seeds, form an ensemble; none is trained.
        baseline: Row to test against; None for the baseline itself.
        published: Numbers to compare with.
    """

    name: str
    options: tuple[str, ...] = ()
    from_row: str | None = None
    ensemble_of: str | None = None
    baseline: str | None = None
    published: Published | None = None


@dataclass(frozen=True)
class Evaluate:
    """How captioners are evaluated.

    Attributes:
        split: Split of the data set.
        search: How to generate captions, by class.
        metrics: As in `captioning evaluate`; if none, its default.
        temperatures: Temperatures at which to sample, too, for a curve of quality against
            diversity.
    """

    split: str = "test"
    search: Mapping[str, Any] = field(
        default_factory=lambda: {"class_path": "captioning.search.Greedy"}
    )
    metrics: Sequence[str] = ()
    temperatures: Sequence[float | int] = ()


@dataclass(frozen=True)
class Suite:
    """A comparison, read from a file of configs/suites.

    Attributes:
        name: The file's name.
        rows: The rows, each after those that it refers to.
        evaluate: How captioners are evaluated.
        seeds: Number of times each row is trained.
        minutes: How long a run takes on average, by data set, as far as it was measured; used
            where no run was made yet.
    """

    name: str
    rows: tuple[Row, ...]
    evaluate: Evaluate = Evaluate()
    seeds: int = 3
    minutes: Mapping[str, float] = field(default_factory=dict)


def read_suite(path: Path) -> Suite:
    """Read a suite.

    `rows` contains by name what each row adds to a data set's configuration: files (`configs`,
    found as in `look_up`) and the contents of such files (`options`), and which earlier row it
    starts from (`from_row`).
    Additions to all rows are next to `rows`; `variants` contains alternative additions, each of
    which gives another copy of every row. Raises a one-line InputError for any fault.
    """
    suite = checked(read_yaml(path), SUITE, str(path))
    rows, variants = suite.get("rows") or {}, suite.get("variants") or {"": {}}
    check_rows(rows, suite.get("baseline"), path)
    if suite.get("seeds", Suite.seeds) < 1:
        raise InputError(f"{path}, seeds: expected 1 or more, got {suite['seeds']}")
    evaluate = checked(suite.get("evaluate", {}), EVALUATE, f"{path}, evaluate")
    temperatures = evaluate.get("temperatures", [])
    if not all(isinstance(each, int | float) for each in temperatures):
        raise InputError(f"{path}, evaluate: temperatures are numbers, got {temperatures}")
    minutes = suite.get("minutes", {})
    if not all(isinstance(each, int | float) for each in minutes.values()):
        raise InputError(f"{path}: minutes are numbers by data set, got {minutes}")
    found = []
    for variant, part in variants.items():
        told = checked(part, VARIANT, f"{path}, variant {variant!r}").get("published", {})
        checked(told, dict.fromkeys(rows, dict), f"{path}, variant {variant!r}, published")
        for name, row in rows.items():
            parts = ({key: suite[key] for key in PART if key in suite}, part, row)
            options = [word for each in parts for word in words_of(each, path, name)]
            published = told.get(name, row.get("published"))
            full = row | {"published": read_published(published, f"{path}, row {name!r}")}
            found.append(make_row(name, variant, full, tuple(options), suite.get("baseline")))
    seeds, minutes = suite.get("seeds", Suite.seeds), {key: float(minutes[key]) for key in minutes}
    return Suite(path.stem, tuple(found), Evaluate(**evaluate), seeds, minutes)


def make_row(
    name: str, variant: str, row: dict[str, Any], options: tuple[str, ...], baseline: str | None
) -> Row:
    """Make a row of one variant; it refers to rows of the same variant."""

    def full(row: str | None) -> str | None:
        return f"{row}, {variant}" if row and variant else row

    return Row(
        full(name) or name,
        options,
        full(row.get("from_row")),
        full(row.get("ensemble_of")),
        None if name == baseline else full(baseline),
        row["published"],
    )


def read_published(record: dict[str, Any] | None, where: str) -> Published | None:
    """Read published numbers, by names of columns, or None; all fields are required."""
    if record is None:
        return None
    where = f"{where}, published"
    checked(record, PUBLISHED, where)
    if missing := [key for key in PUBLISHED if key not in record]:
        raise InputError(f"{where}: {' and '.join(missing)} are also required")
    checked(record["numbers"], dict.fromkeys(COLUMNS, object), f"{where}, numbers")
    return Published(**record | {"numbers": numbers(record, "numbers", where)})


def check_rows(rows: dict[str, Any], baseline: str | None, path: Path) -> None:
    """Refuse rows that refer to rows not above them, and ensembles with settings of training."""
    trained: list[str] = []
    if not rows:
        raise InputError(f"{path}: expected rows, by name, under the key 'rows', got none")
    for name, row in rows.items():
        where = f"{path}, row {name!r}"
        checked(row, ROW, where)
        for key in ("from_row", "ensemble_of"):
            if key in row and row[key] not in trained:
                raise InputError(
                    f"{where}: {key} must name a row above it that is trained, one of {trained}, "
                    f"got {row[key]!r}"
                )
        if "ensemble_of" not in row:
            trained.append(name)
        elif PART.keys() & row or "from_row" in row:
            raise InputError(f"{where}: an ensemble is not trained: give only ensemble_of")
    if baseline is not None and baseline not in rows:
        raise InputError(f"{path}: the baseline must be one of {list(rows)}, got {baseline!r}")


def checked(record: Any, keys: Keys, where: str) -> dict[str, Any]:
    """Return a mapping; InputError if it has other keys than these or values of other types."""
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected a mapping, got {record!r:.60}")
    for key, value in record.items():
        if key not in keys:
            nearest = difflib.get_close_matches(str(key), keys, n=1, cutoff=0.0)[0]
            raise InputError(f"{where}: no key {key!r}; the nearest valid key is {nearest!r}")
        if not isinstance(value, keys[key]):
            raise InputError(
                f"{where}: expected {key} to be {keys[key].__name__}, got {value!r:.60}"
            )
    return record


def words_of(part: dict[str, Any], suite: Path, row: str) -> Iterator[str]:
    """Yield the options of `captioning train` for a part of a row in the file of a suite."""
    options = part.get("options", {})
    for key in options:
        if key in PLANNED:
            raise InputError(f"{suite}, row {row!r}: {key} cannot be given here: the plan sets it")
    for file in part.get("configs", []):
        yield from ("--config", str(look_up(str(file), suite)))
    if options:
        yield from ("--config", json.dumps(options))
