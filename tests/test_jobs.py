"""Commands that need one another: order, failure, interruption, and who else is at work."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest

from captioning.jobs import Job, Queue, environments

SAY = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + ' ')"


def job(folder: Path, name: str, code: str = SAY, needs: tuple[str, ...] = ()) -> Job:
    """A job that runs Python code, by default one that adds its name to a file."""
    command = (sys.executable, "-S", "-c", code, str(folder / "said"), name)
    return Job(name, "say", command, folder / "logs" / f"{name}.log", needs)


def said(folder: Path) -> list[str]:
    return (folder / "said").read_text().split() if (folder / "said").exists() else []


def test_a_job_waits_for_those_it_needs(tmp_path: Path) -> None:
    jobs = [job(tmp_path, "last", needs=("first", "second"))]
    jobs += [job(tmp_path, "second", needs=("first",)), job(tmp_path, "first")]
    queue = Queue(jobs, 3)
    queue.work()
    assert said(tmp_path) == ["first", "second", "last"]
    assert queue.done == {"first", "second", "last"}


def test_no_more_run_at_a_time_than_asked(tmp_path: Path) -> None:
    code = f"import time; {SAY}; time.sleep(.15); open(sys.argv[1], 'a').write('end ')"
    Queue([job(tmp_path, name, code) for name in "abcd"], 2).work()
    running = [0]
    for word in said(tmp_path):
        running.append(running[-1] + (-1 if word == "end" else 1))
    assert max(running) == 2


def test_a_failed_job_takes_with_it_only_what_needs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = "print('step 1\\rstep 2'); raise ValueError('no such word')"
    jobs = [job(tmp_path, "broken", broken), job(tmp_path, "after", needs=("broken",))]
    jobs += [job(tmp_path, "later", needs=("after",)), job(tmp_path, "other")]
    queue = Queue(jobs, 1)
    queue.work()
    assert said(tmp_path) == ["other"]
    log = tmp_path / "logs" / "broken.log"
    assert queue.failed == {
        "broken": f"failed: ValueError: no such word ({log})",
        "after": "skipped, because it needs broken",
        "later": "skipped, because it needs after",
    }
    assert f"broken: failed: ValueError: no such word ({log})" in capsys.readouterr().err


def test_a_killed_job_is_told_by_its_signal(tmp_path: Path) -> None:
    queue = Queue([job(tmp_path, "big", "import os; os.kill(os.getpid(), 9)")], 1)
    queue.work()
    assert queue.failed["big"].startswith(
        "failed: killed by SIGKILL, usually because memory ran out"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_once_and_nothing_more_begins(
    tmp_path: Path, number: signal.Signals
) -> None:
    patient = f"""
import signal, time
asked = []
signal.signal(signal.SIGINT, lambda *_: asked.append(1))
open({str(tmp_path / "ready")!r}, "w")
while not asked:
    time.sleep(.01)
time.sleep(.3)
{SAY.replace("sys.argv[2]", "str(len(asked))")}
sys.exit(130)
"""
    queue = Queue([job(tmp_path, "patient", patient), job(tmp_path, "next")], 1)

    def ask() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    Timer(0, ask).start()
    before = signal.getsignal(number)
    queue.work()
    assert said(tmp_path) == ["1"]
    assert queue.stopped
    assert not queue.done
    assert not queue.failed
    assert [each.name for each in queue.waiting] == ["next"]
    assert signal.getsignal(number) is before


def test_a_job_that_another_process_is_at_waits_for_it_and_holds_up_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it is where two suites share a run, or whoever began it was killed and the job lives."""
    one, two = job(tmp_path, "one"), job(tmp_path, "two")
    one.log.parent.mkdir()
    with one.log.open("ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        sleeper = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=log, stderr=log
        )
    queue = Queue([one, two], 1)
    Timer(1, sleeper.communicate, [b"\n"]).start()
    assert not queue.work()
    assert queue.done == {"one", "two"}
    told = capsys.readouterr().err
    assert told.count("one: waits, because another process is working on it") == 1
    assert told.index("two: done") < told.index("one: begins")


def test_cores_and_gpus_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert environments(3, 8, []) == [{"OMP_NUM_THREADS": "2"}] * 3
    assert environments(3, 2, ["4", "6"]) == [
        {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": gpu} for gpu in ("4", "6", "4")
    ]
    shared = [each["CUDA_VISIBLE_DEVICES"] for each in environments(2, 2, ["4", "6", "7"])]
    assert shared == ["4,7", "6"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert environments(2, 8, []) == [{"OMP_NUM_THREADS": "5"}] * 2
