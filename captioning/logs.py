"""The numbers of a run as a table that survives being resumed."""

import csv
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger


def continue_csv(logger: CSVLogger, file: Path, steps: int) -> None:
    """Keep what `file` tells of the first `steps` steps; the logger goes on below it.

    Without this Lightning deletes the file of a resumed run. Rows of later steps, logged before a
    crash but lost with it, are told again.
    """
    if not file.exists():
        return
    with file.open(newline="") as lines:
        reader = csv.DictReader(lines)
        rows = [row for row in reader if (row["step"] or "").isdigit() and int(row["step"]) < steps]
        names = list(reader.fieldnames or [])
    experiment = logger.experiment
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, names)
        writer.writeheader()
        writer.writerows({name: row[name] for name in names} for row in rows)
    experiment.metrics_keys = names
