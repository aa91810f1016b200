"""Independent jobs: their order, their threads, and their end."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from captioning.lab.workers import run_all

SCRIPT = """
import os, signal, sys, time
from captioning.lab.workers import run_all

def threads(number):
    import torch
    time.sleep(number)  # the first ends last
    return number, torch.get_num_threads()

def die(number):
    os._exit(9)

def fail(number):
    return 1 / number

def wait(number):
    print("begun", flush=True)
    time.sleep(60)

if __name__ == "__main__":
    # A job that a shell runs in the background hears no Ctrl-C; this one is to hear it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(run_all(globals()[sys.argv[1]], [float(word) for word in sys.argv[2:]], 2, "numbers"))
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "script.py").write_text(SCRIPT)
    return str(tmp_path / "script.py")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def test_one_job_at_a_time_runs_here_with_one_thread_for_a_while() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert run_all(lambda _: torch.get_num_threads(), "ab", jobs=1) == [1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_arguments() -> None:
    assert run_all(math.factorial, [5, 3, 4], jobs=1) == [120, 6, 24]
    assert run_all(math.factorial, [], jobs=2) == []


@pytest.mark.slow  # starts Python three times
def test_processes_give_their_results_in_order_and_compute_with_one_thread(script: str) -> None:
    assert run(script, "threads", "0.5", "0").stdout == "[(0.5, 1), (0.0, 1)]\n"


@pytest.mark.slow
def test_an_exception_of_a_job_is_raised_here(script: str) -> None:
    assert run(script, "fail", "0").stderr.endswith("ZeroDivisionError: float division by zero\n")


@pytest.mark.slow
def test_a_process_that_was_killed_is_told_in_one_sentence(script: str) -> None:
    last = run(script, "die", "0").stderr.splitlines()[-1]
    assert "numbers: a process was ended from outside" in last
    assert "run fewer at a time by --jobs" in last


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_one_that_began_it(script: str, number: signal.Signals) -> None:
    command = [sys.executable, script, "wait", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        assert first.stdout
        assert first.stdout.readline() == b"begun\n"
        first.send_signal(number)
        first.communicate(timeout=30)  # ends when the last process has let go of the pipe
    assert first.returncode == -number
