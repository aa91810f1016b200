"""What a run leaves when it is finished: how long it took, and on which hardware."""

from dataclasses import asdict, dataclass

from captioning.data.reading import field, parse_json, read_text
from captioning.errors import InputError
from captioning.files import write_json
from captioning.runs import Run


@dataclass(frozen=True)
class Finished:
    """The end of a run.

    Attributes:
        seconds: Training and, if requested, evaluation; None for a run that was resumed.
        hardware: What it was made on, at last; empty for runs of older versions.
    """

    seconds: float | None
    hardware: str = ""


def write_finished(run: Run, finished: Finished) -> None:
    """Mark a run as finished."""
    write_json(run.finished_file, asdict(finished))


def read_finished(run: Run) -> Finished:
    """Read what a finished run left; InputError if it is not finished, or the file is damaged."""
    where = str(run.finished_file)
    record = parse_json(read_text(run.finished_file), where)
    seconds = field(record, "seconds", object, where)
    if seconds is not None and not isinstance(seconds, int | float):
        raise InputError(f"{where}: expected 'seconds' to be a number or null, got {seconds!r:.60}")
    hardware = field(record, "hardware", str, where) if "hardware" in record else ""
    return Finished(None if seconds is None else float(seconds), hardware)
