"""Download a file: resumed where the connection was cut, and never left incomplete."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from captioning.errors import InputError
from captioning.files import check_content, progress

_TIMEOUT = 30  # seconds without an answer
_BLOCK = 2**16  # bytes: the most that is lost when the connection is cut


class Remote(NamedTuple):
    """A file as it is published.

    Attributes:
        address: HTTP or HTTPS URL.
        size: in bytes; None if unknown.
        checksum: `sha256:` or `md5:` and hexadecimal digits.
    """

    address: str
    size: int | None
    checksum: str


def download(remote: Remote, target: Path, pauses: Sequence[float] = (1.0, 5.0, 30.0)) -> None:
    """Download a file to `target`, whose folder must exist.

    The data collects in `target` plus `.part` until it is complete and verified; an interrupted
    download resumes from there. After a cut connection the next attempt follows at once if any
    data came, else after the next of the `pauses`, in seconds. A server that does not support
    ranges sends everything again. Only one process may download a file at a time.

    Raises:
        InputError: if the file cannot be downloaded or is not what it should be.
        OSError: if the file cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    _receive_all(remote, part, pauses)
    try:
        complaint = f"{target.name} is not what {remote.address} should give"
        check_content(part, complaint, remote.size, remote.checksum)
    except InputError:
        part.unlink()
        raise
    part.replace(target)


def _receive_all(remote: Remote, part: Path, pauses: Sequence[float]) -> None:
    """Retry until the file is complete; give up at once if the first attempt brings nothing."""
    first = most = _size(part)
    waits = iter(pauses)
    while error := _attempt(remote, part):
        if _size(part) > most:
            most, waits = _size(part), iter(pauses)
            continue
        wait = next(waits, None)
        if wait is None or most == first:
            raise InputError(
                f"{part.stem} could not be downloaded from {remote.address} ({_reason(error)}); "
                "run it again to resume, or name a folder that has the file"
            ) from error
        time.sleep(wait)


def _attempt(remote: Remote, part: Path) -> Exception | None:
    """Return the error that cut the connection, or None if the file is complete."""
    from requests import RequestException

    try:
        _receive(remote, part)
    except RequestException as error:
        return error
    return None


def _receive(remote: Remote, part: Path) -> None:
    """Append to the partial file until it is complete or the connection is cut."""
    from requests import codes, get

    have = _size(part)
    if have == remote.size:
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with get(remote.address, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if answer.status_code == codes.requested_range_not_satisfiable:
            if answer.headers.get("Content-Range") != f"bytes */{have}":
                part.unlink()  # longer than the file, as far as the server says
                _receive(remote, part)
            return  # else it is as long as the file: all has come
        answer.raise_for_status()
        goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if goes_on else 0
        rest = answer.headers.get("Content-Length")
        size = have + int(rest) if rest else remote.size
        with (
            part.open("ab" if goes_on else "wb") as file,
            progress(part.stem, size, have) as advance,
        ):
            for block in answer.iter_content(_BLOCK):
                file.write(block)
                advance(len(block))


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _reason(error: Exception) -> str:
    """Return the server's status, such as `404 Not Found`, or the type of the error."""
    from requests import HTTPError

    if isinstance(error, HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    return type(error).__name__
