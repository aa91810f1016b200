"""Keep the CSV log of a run when it is resumed."""

import csv
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger

from captioning.files import whole


def continue_csv(logger: CSVLogger, file: Path, batches: int) -> None:
    """Keep the rows of the first `batches` of a run in `file`; the logger appends to them.

    Without this, Lightning deletes the file of a resumed run. Rows of later batches, logged before
    a crash but undone by it, are dropped and logged again. ("step" in this file counts batches.)
    """
    if not file.exists():
        return
    with file.open(newline="") as lines:
        reader = csv.DictReader(lines)
        rows = [
            row for row in reader if (row["step"] or "").isdigit() and int(row["step"]) < batches
        ]
        names = list(reader.fieldnames or [])
    experiment = logger.experiment
    with whole(file) as partial, partial.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, names)
        writer.writeheader()
        writer.writerows({name: row[name] for name in names} for row in rows)
    experiment.metrics_keys = names
