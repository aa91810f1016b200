"""Jars come whole or not at all, whatever a repository, a disk or another process does."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from captioning.downloads.jars import Jar, fetch, missing
from captioning.errors import InputError

CONTENT = bytes(range(256)) * 2000
JAR = Jar("a.group:thing:1.0:models", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
PATH = "/a/group/thing/1.0/thing-1.0-models.jar"
FETCH = """
import sys
from pathlib import Path
from captioning.errors import InputError
from captioning.downloads.jars import Jar, fetch
coordinates, size, sha256, folder, address = sys.argv[1:]
try:
    fetch([Jar(coordinates, int(size), sha256)], Path(folder), repository=address)
except InputError as error:
    print(error)
"""


class Repository(ThreadingHTTPServer):
    """A Maven repository of one jar, with a fault: cut, changed, stuck or absent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.fault = ""
        self.asked = 0
        self.halfway = Event()
        self.go_on = Event()
        self.address = f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        if self.path != PATH or self.server.fault == "absent":
            self.send_error(404)
            return
        self.server.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        half = len(CONTENT) // 2
        self.wfile.write(CONTENT[:half])
        self.wfile.flush()
        if self.server.fault == "stuck":
            self.server.halfway.set()
            self.server.go_on.wait(30)
        elif self.server.fault == "changed":
            self.wfile.write(CONTENT[half:][::-1])
        elif self.server.fault != "cut":
            self.wfile.write(CONTENT[half:])

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def repository() -> Iterator[Repository]:
    with Repository() as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()


def start(folder: Path, repository: Repository, before: str = "") -> subprocess.Popen[str]:
    program = [sys.executable, "-c", before + FETCH, *map(str, JAR), str(folder)]
    return subprocess.Popen([*program, repository.address], stdout=subprocess.PIPE, text=True)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"lock"}


def refused(*arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        fetch([JAR], *arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_jar_is_fetched_whole_with_nothing_beside_it(
    tmp_path: Path, repository: Repository
) -> None:
    folder = tmp_path / "some" / "cache"
    fetch([JAR], folder, repository=repository.address)
    assert files(folder) == {"thing-1.0-models.jar"}
    assert (folder / JAR.file).read_bytes() == CONTENT


def test_a_jar_that_is_there_is_not_asked_for_again(tmp_path: Path, repository: Repository) -> None:
    fetch([JAR], tmp_path, repository=repository.address)
    fetch([JAR], tmp_path, repository=repository.address)
    assert repository.asked == 1
    assert missing([JAR], tmp_path) == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("cut", r"thing-1.0-models.jar could not be downloaded from http://.*\(\w+\); try again"),
        ("changed", "is not a.group:thing:1.0:models: expected 512000 bytes with sha256"),
        ("absent", "did not give a.group:thing:1.0:models; name another .* by --repository"),
    ],
)
def test_a_faulty_answer_is_one_sentence_and_leaves_nothing_behind(
    fault: str, words: str, tmp_path: Path, repository: Repository
) -> None:
    repository.fault = fault
    with pytest.raises(InputError, match=words):
        fetch([JAR], tmp_path, repository=repository.address)
    assert files(tmp_path) == set()
    repository.fault = ""
    fetch([JAR], tmp_path, repository=repository.address)
    assert files(tmp_path) == {JAR.file}


def test_a_repository_that_does_not_answer_is_one_sentence(
    tmp_path: Path, repository: Repository
) -> None:
    repository.shutdown()
    repository.server_close()
    assert "(ConnectionError); try again" in refused(tmp_path, None, repository.address)
    assert "(InvalidURL); try again" in refused(tmp_path, None, "no address")


def test_too_little_room_is_told_before_anything_is_asked(
    tmp_path: Path, repository: Repository
) -> None:
    huge = JAR._replace(size=10**18)
    with pytest.raises(InputError, match=r"MB free, 1000000000000 MB are needed; make room"):
        fetch([huge], tmp_path, repository=repository.address)
    assert repository.asked == 0


def test_room_that_ends_halfway_is_one_sentence_and_leaves_nothing_behind(
    tmp_path: Path, repository: Repository
) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    said, _ = start(tmp_path, repository, limit).communicate(timeout=60)
    assert said.startswith(f"{tmp_path} cannot be written (File too large); make room")
    assert files(tmp_path) == set()


def test_a_folder_that_cannot_be_made_is_one_sentence(
    tmp_path: Path, repository: Repository
) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in refused(tmp_path / "file" / "cache", None, repository.address)


def test_what_a_killed_process_left_is_removed_by_the_next(
    tmp_path: Path, repository: Repository
) -> None:
    repository.fault = "stuck"
    process = start(tmp_path, repository)
    assert repository.halfway.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert files(tmp_path) == {"partial"}
    assert missing([JAR], tmp_path) == [JAR]
    repository.fault = ""
    fetch([JAR], tmp_path, repository=repository.address)
    assert files(tmp_path) == {JAR.file}


def test_of_many_at_once_one_fetches_for_all(tmp_path: Path, repository: Repository) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(fetch, [JAR], tmp_path, None, repository.address) for _ in range(8)]
        for job in jobs:
            job.result()
    assert repository.asked == 1
    assert (tmp_path / JAR.file).read_bytes() == CONTENT


def test_a_folder_is_searched_to_any_depth_and_left_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "source" / "a" / "group"
    source.mkdir(parents=True)
    (source / JAR.file).write_bytes(CONTENT)
    fetch([JAR], tmp_path / "cache", tmp_path / "source")
    assert (tmp_path / "cache" / JAR.file).read_bytes() == CONTENT
    assert (source / JAR.file).read_bytes() == CONTENT


def test_a_folder_without_the_jar_or_with_another_is_one_sentence(tmp_path: Path) -> None:
    source, cache = tmp_path / "source", tmp_path / "cache"
    source.mkdir()
    assert refused(cache, source).startswith(f"{source} has no thing-1.0-models.jar, neither")
    (source / JAR.file).write_bytes(CONTENT[:-1])
    assert "got 511999 bytes with" in refused(cache, source)
    assert files(cache) == set()
