"""Work that processes share, and what the first makes of it."""

import subprocess
import sys

import pytest

from captioning.errors import InputError
from captioning.processes import by_slurm, check_tasks, collect, join, place, start
from captioning.training.trainer import own_slurm


def test_a_process_alone_is_the_first_of_one_and_collects_its_own_work() -> None:
    assert place() == (0, 1)
    assert collect(lambda: "found") == ["found"]


CHILD = """
import time
from captioning.processes import watch_parent
watch_parent()
print("waiting", flush=True)
time.sleep(60)
"""
PARENT = """
import os, subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1]], env=os.environ | {"LOCAL_RANK": "1"})
"""


@pytest.mark.slow
def test_a_process_waits_no_longer_for_a_first_one_that_was_killed() -> None:
    """As with NCCL, where nothing but the operating system tells that it is gone."""
    words = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "waiting\n"
        first.kill()
        assert first.communicate(timeout=30) == ("", None)  # once nobody can write there


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Two tasks on a node, as SLURM tells the first of them."""
    job = {"JOB_NAME": "captioning", "NTASKS": "2", "NTASKS_PER_NODE": "2", "PROCID": "0"}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    return monkeypatch


def test_as_many_processes_as_slurm_has_tasks_or_none(slurm: pytest.MonkeyPatch) -> None:
    assert by_slurm()
    check_tasks(2, 1)
    check_tasks(1, 2)
    for devices, num_nodes in ((1, 1), (2, 2)):
        words = rf"expected SLURM's 2 tasks, got {devices} × {num_nodes}; change these options, or "
        srun = f"begin with srun --nodes {num_nodes} --ntasks-per-node {devices}$"
        with pytest.raises(InputError, match=words + srun):
            start(devices, num_nodes)


def test_tasks_are_counted_by_the_node_unless_there_is_one(slurm: pytest.MonkeyPatch) -> None:
    slurm.delenv("SLURM_NTASKS_PER_NODE")
    for ask in (own_slurm, lambda: start(2, 1)):
        with pytest.raises(InputError, match=r"got only the total, 2; begin with srun --nodes N"):
            ask()
    slurm.setenv("SLURM_JOB_NAME", "interactive")
    assert own_slurm() == []
    slurm.setenv("SLURM_JOB_NAME", "captioning")
    slurm.setenv("SLURM_NTASKS", "1")
    assert len(own_slurm()) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("SLURM_JOB_NAME", "interactive"), ("TORCHELASTIC_RUN_ID", "none")]
)
def test_shells_and_torchrun_start_their_own_number(
    name: str, value: str, slurm: pytest.MonkeyPatch
) -> None:
    slurm.setenv(name, value)
    assert not by_slurm()
    check_tasks(8, 1)


def test_a_mistake_met_at_work_is_raised() -> None:
    def work() -> None:
        raise InputError("an image is damaged")

    with pytest.raises(InputError, match="an image is damaged"):
        collect(work)


def test_what_processes_found_is_put_in_order_and_may_lack_something() -> None:
    shares = [[("a", 1), ("d", 4)], [("b", 2)], []]
    assert [*join(shares, "dcba").items()] == [("d", 4), ("b", 2), ("a", 1)]


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ([[("a", 1), ("b", 2)], [("a", 1)]], "'a' came twice"),
        ([[("a", 1), ("a", 1)]], "'a' came twice"),
        ([[("a", 1)], [("z", 2)]], "'z' is not in the split"),
    ],
)
def test_what_came_twice_or_from_elsewhere_is_refused(
    shares: list[list[tuple[str, int]]], words: str
) -> None:
    with pytest.raises(InputError, match=f"expected every image of the split once, but {words}"):
        join(shares, "ab")
