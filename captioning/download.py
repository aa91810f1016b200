"""A file from the web: gone on with where it was cut, and there whole or not at all."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from captioning.errors import InputError
from captioning.files import check_content, progress

_TIMEOUT = 30  # seconds without an answer
_BLOCK = 2**16  # bytes: what is lost of a connection that is cut


class Remote(NamedTuple):
    """A file as it is published.

    Attributes:
        address: of HTTP or HTTPS.
        size: in bytes; None: not known.
        checksum: `sha256:` or `md5:` and hexadecimal digits.
    """

    address: str
    size: int | None
    checksum: str


def download(remote: Remote, target: Path, pauses: Sequence[float] = (1.0, 5.0, 30.0)) -> None:
    """Put a file at `target`, whose folder is there.

    What has come lies beside it, as `target` with `.part` after its name, until all has come and
    is what it should be; whoever is killed or cut goes on from there. A connection that is cut is
    taken up again: at once where it brought something, else after the next of the `pauses`, in
    seconds. A server that knows no ranges sends everything again. One process at a time.

    Raises:
        InputError: when the file cannot be had, or is not what it should be.
        OSError: when the disk cannot take it.
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
    """Receive until the file ends; an address that does not answer at first is told at once."""
    first = most = _size(part)
    waits = iter(pauses)
    while error := _attempt(remote, part):
        if _size(part) > most:
            most, waits = _size(part), iter(pauses)
            continue
        wait = next(waits, None)
        if wait is None or most == first:
            raise InputError(
                f"{part.stem} did not come from {remote.address} ({_reason(error)}); run it "
                "again, which goes on from what has come, or name a folder that has the file"
            ) from error
        time.sleep(wait)


def _attempt(remote: Remote, part: Path) -> Exception | None:
    """What cut the connection, or None where the file has ended."""
    from requests import RequestException

    try:
        _receive(remote, part)
    except RequestException as error:
        return error
    return None


def _receive(remote: Remote, part: Path) -> None:
    """Go on with a file until it ends or the connection is cut."""
    from requests import codes, get

    have = _size(part)
    if have == remote.size:
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with get(remote.address, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if answer.status_code == codes.requested_range_not_satisfiable:
            part.unlink()  # it is longer than the file: it was of another
            _receive(remote, part)
            return
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
    """The server's own words, such as `404 Not Found`, or the kind of error."""
    from requests import HTTPError

    if isinstance(error, HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    return type(error).__name__
