"""A download comes whole or not at all, and goes on from where it was cut, killed or full."""

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from captioning.downloads.remote import Remote, download
from captioning.errors import InputError
from tests.support.file_server import FileServer, full_disk

CONTENT = bytes(range(256)) * 4096
HALF = len(CONTENT) // 2  # whole blocks, so that nothing of it is lost when the line is cut
DOWNLOAD = """
import sys
from pathlib import Path
from captioning.downloads.remote import Remote, download
address, size, checksum, target = sys.argv[1:]
download(Remote(address, int(size), checksum), Path(target))
"""


@pytest.fixture
def server(file_server: FileServer) -> FileServer:
    file_server.files["/a/file"] = CONTENT
    return file_server


def remote(server: FileServer, size: int | None = len(CONTENT)) -> Remote:
    checksum = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    return Remote(f"{server.address}/a/file", size, checksum)


def refused(remote: Remote, target: Path) -> str:
    with pytest.raises(InputError) as caught:
        download(remote, target, pauses=(0.0, 0.0))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def ranges(server: FileServer) -> list[str | None]:
    return [asked for _, asked in server.asked]


def first_bytes(server: FileServer) -> list[int]:
    return [int(asked[6:-1]) if asked else 0 for asked in ranges(server)]


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_file_comes_whole_with_nothing_beside_it(
    size: int | None, tmp_path: Path, server: FileServer
) -> None:
    download(remote(server, size), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_connection_that_is_cut_again_and_again_is_gone_on_with(
    tmp_path: Path, server: FileServer
) -> None:
    server.fault = "cut"
    message = refused(remote(server), tmp_path / "file")  # the halves end below a block
    assert "run it again to resume" in message
    came = [0, HALF, HALF * 3 // 2, HALF * 7 // 4, HALF * 15 // 8]
    assert first_bytes(server) == [*came, came[-1], came[-1]]
    server.fault = ""
    download(remote(server), tmp_path / "file")
    assert first_bytes(server)[-1] == came[-1]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_again(tmp_path: Path, server: FileServer) -> None:
    server.ranges, server.fault = False, "cut once"
    download(remote(server), tmp_path / "file")
    assert ranges(server) == [None, f"bytes={HALF}-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_without_ranges_that_always_cuts_is_given_up(
    tmp_path: Path, server: FileServer
) -> None:
    server.ranges, server.fault = False, "cut"
    assert "run it again" in refused(remote(server), tmp_path / "file")
    assert len(server.asked) == 4  # one that brought something, one after it, two pauses


def test_an_address_that_gives_nothing_is_told_at_once(tmp_path: Path, server: FileServer) -> None:
    server.fault = "silent"
    message = refused(remote(server), tmp_path / "file")
    assert message.startswith(
        f"file could not be downloaded from {server.address}/a/file (ChunkedEncodingErr"
    )
    assert len(server.asked) == 1
    missing = remote(server)._replace(address=f"{server.address}/none")
    assert "(404 Not Found)" in refused(missing, tmp_path / "file")
    server.shutdown()
    server.server_close()
    assert "(ConnectionError)" in refused(remote(server), tmp_path / "file")
    assert "(MissingSchema)" in refused(missing._replace(address="none"), tmp_path / "file")


def test_what_a_killed_process_got_is_gone_on_from(tmp_path: Path, server: FileServer) -> None:
    server.fault = "stuck"
    command = [sys.executable, "-c", DOWNLOAD, *map(str, remote(server)), str(tmp_path / "file")]
    process = subprocess.Popen(command)
    assert server.halfway.wait(60)
    part = tmp_path / "file.part"
    while not (part.exists() and part.stat().st_size == HALF) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "file").exists()
    server.fault = ""
    download(remote(server), tmp_path / "file")
    assert first_bytes(server) == [0, HALF]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_full_disk_keeps_what_has_come(tmp_path: Path, server: FileServer) -> None:
    with full_disk(at=500_000), pytest.raises(OSError, match="File too large"):
        download(remote(server), tmp_path / "file")
    came = (tmp_path / "file.part").stat().st_size
    assert 0 < came <= 500_000
    download(remote(server), tmp_path / "file")
    assert first_bytes(server) == [0, came]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_content_that_was_changed_is_refused_and_leaves_nothing(
    tmp_path: Path, server: FileServer
) -> None:
    server.fault = "changed"
    message = refused(remote(server), tmp_path / "file")
    assert f"file is not what {server.address}/a/file should give: expected 1048576" in message
    assert "sha256" in message
    assert list(tmp_path.iterdir()) == []


def test_a_beginning_of_another_file_is_found_out(tmp_path: Path, server: FileServer) -> None:
    (tmp_path / "file.part").write_bytes(b"another")
    assert "it was cut or changed on its way: fetch it again" in refused(
        remote(server), tmp_path / "file"
    )
    download(remote(server), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_beginning_longer_than_the_file_is_thrown_away(
    tmp_path: Path, server: FileServer
) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    download(remote(server), tmp_path / "file")
    assert ranges(server) == [f"bytes={len(CONTENT) + 4}-", None]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_all_that_came_before_a_kill_is_only_checked(tmp_path: Path, server: FileServer) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    download(remote(server), tmp_path / "file")
    assert server.asked == []
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_all_that_came_of_a_file_of_unknown_size_is_asked_for_its_end_and_checked(
    tmp_path: Path, server: FileServer
) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    download(remote(server, None), tmp_path / "file")
    assert first_bytes(server) == [len(CONTENT)]
    assert (tmp_path / "file").read_bytes() == CONTENT
    (tmp_path / "other.part").write_bytes(CONTENT[::-1])
    assert "sha256" in refused(remote(server, None), tmp_path / "other")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
