"""What the rows cost: how long their runs took, and on which hardware."""

from collections.abc import Sequence

from captioning.comparison.compared import Compared
from captioning.comparison.table import Cell, Line, Table
from captioning.finished import Finished, read_finished
from captioning.report.curves import read_log
from captioning.report.table import headings, spread
from captioning.runs import Run

COLUMNS = ("minutes", "epochs")


def cost(rows: Sequence[Compared]) -> Table | None:
    """Tabulate the mean time and length of each row's runs; None if there are none.

    A row's minutes are a dash if each of its runs was resumed.
    """
    lines = [_line(place, row) for place, row in enumerate(rows) if row.runs]
    return Table("cost", "Cost", [*headings(COLUMNS), "hardware"], lines) if lines else None


def _line(place: int, row: Compared) -> Line:
    ends = [end(run) for run in row.runs]
    minutes = [each.seconds / 60 for each in ends if each.seconds is not None]
    numbers = [minutes, [length for run in row.runs for length in epochs(run)]]
    texts = [spread(name, values) for name, values in zip(COLUMNS, numbers, strict=True)]
    hardware = "; ".join(dict.fromkeys(each.hardware for each in ends if each.hardware))
    cells = [Cell(text) for text in (*texts, hardware or "–")]
    return Line("row", row.name, cells, str(len(row.runs)), place)


def end(run: Run) -> Finished:
    """Return how a run ended; nothing is known of one that is not marked as finished."""
    return read_finished(run) if run.finished_file.exists() else Finished(None)


def epochs(run: Run) -> list[float]:
    """Return the number of epochs that a run logged; none without a log."""
    logged = [row["epoch"] for row in read_log(run.logs / "metrics.csv")]
    return [max(logged) + 1] if logged else []
