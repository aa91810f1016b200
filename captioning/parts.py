"""An output that is made in parts, by processes that may be killed at any moment.

Part n holds the records of block n of the pictures, whichever process makes it: the parts are the
same for any number of processes. Until OUTPUT is whole, OUTPUT.parts holds them as JSONL, with the
list of the blocks; OUTPUT.settings.json, which stays, says how it was made.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from captioning.data.collection import Block
from captioning.errors import InputError
from captioning.files import remove_leftovers, whole, writing
from captioning.records import Record, as_line, write_records


class Tally(NamedTuple):
    """How many pictures an output tells of, and how many of these could not be opened."""

    pictures: int
    bad: int


class Parts:
    """The files of one output, whose parts grow by batches of `batch_size` records."""

    def __init__(self, output: Path, batch_size: int) -> None:
        self.output = output
        self.batch_size = batch_size
        self.folder = output.with_name(f"{output.name}.parts")
        self.list = self.folder / "blocks"
        self.halt_file = self.folder / "halt"
        self.settings_file = output.with_name(f"{output.name}.settings.json")

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open the output; other commands are kept from it until it is closed."""
        if self.output.exists() and not self.settings_file.exists():
            raise InputError(f"{self.output} is there already; name another --output, or remove it")
        with self.writing():
            self.settings = self.settings_file.open("a+b")
        with self.settings:
            yield

    def writing(self) -> AbstractContextManager[None]:
        """Tell in one line that something cannot be written."""
        advice = "name another --output; what is done is kept, and the same command goes on"
        return writing(self.output, advice)

    def begin(self, settings: Mapping[str, Any], blocks: Iterable[Block]) -> bool:
        """List the blocks, or go on with those listed before; False if the output is whole.

        InputError if another command is at work on the output, or if it was begun otherwise.
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
        """Write down how the output is made, and of what."""
        for part in self.folder.glob("*.jsonl*"):
            part.unlink()
        self.settings.truncate(0)
        self.settings.write(json.dumps(settings, indent=1).encode())
        self.settings.flush()
        try:
            with whole(self.list) as partial, partial.open("w") as rows:
                rows.writelines(f"{json.dumps(block)}\n" for block in blocks)
        except InputError:  # there are no such pictures: nothing was begun
            shutil.rmtree(self.folder)
            self.settings_file.unlink()
            raise

    def refuse_other(self, settings: Mapping[str, Any]) -> None:
        """Refuse to mix what was made in another way with one's own."""
        self.settings.seek(0)
        try:
            made = json.loads(self.settings.read())
        except ValueError:  # emptied or damaged: then nothing is known
            made = {}
        for name, value in settings.items():
            if made.get(name) != value:
                raise InputError(
                    f"{self.output}: its {name} is {made.get(name)!r:.90}, not {value!r:.90}; name "
                    f"another --output, or remove it and {self.folder.name}"
                )

    def share(self) -> None:
        """Let the other processes of this command work, too, but no other command."""
        self.lock(fcntl.LOCK_SH)
        if not self.list.exists():
            raise InputError(
                f"{self.output}: its parts are not seen by all processes; name a folder that the "
                "machines share"
            )

    def lock(self, kind: int) -> None:
        """Lock the output until this process lets go of it or dies.

        Such a lock is not handed down to the processes that load pictures, which outlive their
        parent by seconds.
        """
        try:
            fcntl.lockf(self.settings, kind | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise InputError(
                f"{self.output}: another command is at work on it; wait for its end, or name "
                "another --output"
            ) from error

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Give each block of pictures with the number of its part."""
        with self.list.open() as rows:
            for number, row in enumerate(rows):
                yield number, Block(*json.loads(row))

    def unfinished(self, rank: int, size: int) -> Iterator[tuple[int, Block]]:
        """Give the blocks of process `rank` of `size` whose parts are not yet whole."""
        for number, block in self.blocks():
            if number % size == rank and not self.whole(number).exists():
                yield number, block

    def whole(self, number: int) -> Path:
        """Name the file of a part once it is whole."""
        return self.folder / f"{number:05}.jsonl"

    def growing(self, number: int) -> Path:
        """Name the file of a part until then."""
        return self.folder / f"{number:05}.jsonl.partial"

    def keep(self, number: int) -> int:
        """Cut a growing part down to its whole batches; give how many records those have."""
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
        """Declare a part whole, once it is on the disk."""
        with self.writing():
            with self.growing(number).open("ab") as file:
                os.fsync(file.fileno())
            self.growing(number).replace(self.whole(number))

    def halt(self) -> None:
        """Ask all processes to stop, for one cannot go on."""
        self.halt_file.touch()

    @property
    def halted(self) -> bool:
        """Say whether one has asked."""
        return self.halt_file.exists()

    def join(self) -> Tally:
        """Make the output of its parts, and remove them."""
        pictures = bad = 0

        def records() -> Iterator[Record]:
            nonlocal pictures, bad
            for number, _ in self.blocks():
                for line in self.whole(number).read_bytes().splitlines():
                    record = json.loads(line)
                    pictures, bad = pictures + 1, bad + ("error" in record)
                    yield record

        with self.writing():
            write_records(self.output, records())
            shutil.rmtree(self.folder)
        return Tally(pictures, bad)


def is_record(line: bytes) -> bool:
    """Say whether a line was written to its end."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return line.endswith(b"\n")
