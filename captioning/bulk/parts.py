"""An output made in parts, by processes that may be killed at any moment.

Part n holds the records of block n of the images, whichever process makes it, so the parts are
the same for any number of processes. Until OUTPUT is complete, OUTPUT.parts holds them as JSONL,
with the list of blocks; OUTPUT.settings.json, which is kept, records how OUTPUT was made.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from captioning.bulk.collection import Block
from captioning.bulk.records import Record, as_line, write_records
from captioning.errors import InputError
from captioning.files import remove_leftovers, whole, writing


class Tally(NamedTuple):
    """How many images an output covers, and how many of these could not be opened."""

    images: int
    bad: int


class Parts:
    """The files of one output, whose parts grow in batches of `batch_size` records."""

    def __init__(self, output: Path, batch_size: int) -> None:
        self.output = output
        self.batch_size = batch_size
        self.folder = output.with_name(f"{output.name}.parts")
        self.list = self.folder / "blocks"
        self.halt_file = self.folder / "halt"
        self.settings_file = output.with_name(f"{output.name}.settings.json")

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open the output and its lock file, which `begin` or `share` locks until it is closed."""
        if self.output.exists() and not self.settings_file.exists():
            raise InputError(f"{self.output} is there already; name another --output, or remove it")
        with self.writing():
            self.settings = self.settings_file.open("a+b")
        with self.settings:
            yield

    def writing(self) -> AbstractContextManager[None]:
        """Turn an OSError into an InputError about the output."""
        advice = "name another --output; finished parts are kept, and the same command resumes"
        return writing(self.output, advice)

    def begin(self, settings: Mapping[str, Any], blocks: Iterable[Block]) -> bool:
        """List the blocks, or resume with those listed before; False if the output is complete.

        Raises InputError if another command is working on the output, or if it was started with
        other settings.
        """
        self.lock(fcntl.LOCK_EX)
        if self.output.exists() or self.list.exists():
            self.refuse_other(settings)
        if self.output.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            return False
        with self.writing():
            self.folder.mkdir(exist_ok=True)
            self.halt_file.unlink(missing_ok=True)
            remove_leftovers([self.output])
            if not self.list.exists():
                self.begin_anew(settings, blocks)
        self.share()
        return True

    def begin_anew(self, settings: Mapping[str, Any], blocks: Iterable[Block]) -> None:
        """Write the settings and the list of blocks."""
        for part in self.folder.glob("*.jsonl*"):
            part.unlink()
        self.settings.truncate(0)
        self.settings.write(json.dumps(settings, indent=1).encode())
        self.settings.flush()
        try:
            with whole(self.list) as partial, partial.open("w") as rows:
                rows.writelines(f"{json.dumps(block)}\n" for block in blocks)
        except InputError:  # there are no such images: undo the start
            shutil.rmtree(self.folder)
            self.settings_file.unlink()
            raise

    def refuse_other(self, settings: Mapping[str, Any]) -> None:
        """Refuse to continue an output that was made with other settings."""
        self.settings.seek(0)
        try:
            made = json.loads(self.settings.read())
        except ValueError:  # empty or damaged: nothing is known
            made = {}
        for name, value in settings.items():
            if made.get(name) != value:
                raise InputError(
                    f"{self.output}: its {name} is {made.get(name)!r:.90}, not {value!r:.90}; name "
                    f"another --output, or remove it and {self.folder.name}"
                )

    def share(self) -> None:
        """Let the other processes of this command work too, but no other command."""
        self.lock(fcntl.LOCK_SH)
        if not self.list.exists():
            raise InputError(
                f"{self.output}: its parts are not seen by all processes; name a folder that the "
                "machines share"
            )

    def lock(self, kind: int) -> None:
        """Lock the output until this process closes it or dies.

        The lock is not inherited by the processes that load images, which outlive their parent
        by seconds.
        """
        try:
            fcntl.lockf(self.settings, kind | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise InputError(
                f"{self.output}: another command is working on it; wait until it ends, or name "
                "another --output"
            ) from error

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Yield the number of each part and its block of images."""
        with self.list.open() as rows:
            for number, row in enumerate(rows):
                yield number, Block(*json.loads(row))

    def unfinished(self, rank: int, size: int) -> Iterator[tuple[int, Block]]:
        """Yield the blocks of process `rank` of `size` whose parts are not complete yet."""
        for number, block in self.blocks():
            if number % size == rank and not self.whole(number).exists():
                yield number, block

    def whole(self, number: int) -> Path:
        """Return the path of a part once it is complete."""
        return self.folder / f"{number:05}.jsonl"

    def growing(self, number: int) -> Path:
        """Return the path of a part while it is incomplete."""
        return self.folder / f"{number:05}.jsonl.partial"

    def keep(self, number: int) -> int:
        """Truncate a growing part to its complete batches; return how many records remain."""
        file = self.growing(number)
        if not file.exists():
            return 0
        lines = file.read_bytes().splitlines(keepends=True)
        written = next((row for row, line in enumerate(lines) if not is_record(line)), len(lines))
        kept = written - written % self.batch_size
        with self.writing():
            os.truncate(file, sum(map(len, lines[:kept])))
        return kept

    def append(self, number: int, records: Sequence[Record]) -> None:
        """Add a batch to a part."""
        with self.writing(), self.growing(number).open("ab") as file:
            file.write("".join(map(as_line, records)).encode())

    def finish(self, number: int) -> None:
        """Mark a part as complete, once it is on disk."""
        with self.writing():
            with self.growing(number).open("ab") as file:
                os.fsync(file.fileno())
            self.growing(number).replace(self.whole(number))

    def halt(self) -> None:
        """Ask all processes to stop, because one cannot continue."""
        self.halt_file.touch()

    @property
    def halted(self) -> bool:
        """Whether a process has asked all to stop."""
        return self.halt_file.exists()

    def join(self) -> Tally:
        """Write the output from its parts, then remove them."""
        images = bad = 0

        def records() -> Iterator[Record]:
            nonlocal images, bad
            for number, _ in self.blocks():
                for line in self.whole(number).read_bytes().splitlines():
                    record = json.loads(line)
                    images, bad = images + 1, bad + ("error" in record)
                    yield record

        with self.writing():
            write_records(self.output, records())
            shutil.rmtree(self.folder)
        return Tally(images, bad)


def is_record(line: bytes) -> bool:
    """Return whether a line is a complete record."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return line.endswith(b"\n")
