"""Run commands that depend on one another, each in its own process and with its own log."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from types import FrameType

from captioning.cores import cores
from captioning.signals import listen, restore

MOMENT = 0.1  # seconds between two polls of the running jobs


@dataclass(frozen=True)
class Job:
    """A command with a log.

    Attributes:
        name: Its purpose, for people to read.
        doing: What it does, in one word.
        command: The words of its command line.
        log: File to which its output is appended.
        needs: Names of the jobs that must have succeeded before.
        seconds: How long it should take; None if unknown.
    """

    name: str
    doing: str
    command: tuple[str, ...]
    log: Path
    needs: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True)
class Running:
    """A job that has started."""

    job: Job
    process: "subprocess.Popen[bytes]"
    start: float


class Queue:
    """Runs jobs, `at_a_time` of them at once, in their order as far as dependencies allow.

    A failed job also fails those that need it, and no others. The first SIGINT, SIGTERM or SIGUSR1
    is passed on to all running jobs, which save what they have, and no more are started.

    The lock on a log is shared with its job's process: as long as that process lives, even if its
    parent is dead, nobody starts the same job again. A queue that has the same job waits for it,
    then starts its own, so a job must be one that can be repeated.
    """

    def __init__(self, jobs: Sequence[Job], at_a_time: int) -> None:
        self.total = len(jobs)
        self.waiting = list(jobs)
        self.environments = environments(at_a_time, cores(), gpus())
        self.running: dict[int, Running] = {}  # by index of their environment
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}  # reasons, by name
        self.elsewhere: set[str] = set()  # jobs that another process was found to be working on
        self.stopped = False

    def work(self) -> dict[str, str]:
        """Run all jobs, or stop when asked to; return by name why some failed or were left out."""
        handlers = listen(self.stop)
        try:
            while self.running or (self.waiting and not self.stopped):
                if not self.stopped:
                    self.leave_out()
                    self.begin_ready()
                time.sleep(MOMENT)
                for place, each in list(self.running.items()):
                    if each.process.poll() is not None:
                        self.end(self.running.pop(place))
        finally:
            restore(handlers)
        return self.failed

    def leave_out(self) -> None:
        """Give up waiting jobs that need a failed one."""
        for job in list(self.waiting):
            missed = next((name for name in job.needs if name in self.failed), None)
            if missed is not None:
                self.waiting.remove(job)
                self.fail(job, f"skipped, because it needs {missed}")

    def begin_ready(self) -> None:
        """Start the jobs whose needs are met, as far as there are free environments."""
        free = [place for place in range(len(self.environments)) if place not in self.running]
        for job in [job for job in self.waiting if self.done.issuperset(job.needs)]:
            if free and self.begin(free[0], job):
                self.waiting.remove(job)
                free.pop(0)

    def begin(self, place: int, job: Job) -> bool:
        """Start a job's process; False if another one is working on it."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("ab") as log:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if job.name not in self.elsewhere:
                    tell(f"{job.name}: waits, because another process is working on it ({job.log})")
                self.elsewhere.add(job.name)
                return False
            # In its own session, so that it receives Ctrl-C only once, from this process.
            process = subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environments[place]},
                start_new_session=True,
            )
        self.running[place] = Running(job, process, time.monotonic())
        if self.stopped:  # by a signal that came while the process was starting
            process.send_signal(SIGINT)
        tell(f"{job.name}: begins, {job.log}")
        return True

    def end(self, ended: Running) -> None:
        """Record and print how a job ended."""
        job, status = ended.job, ended.process.returncode
        minutes = (time.monotonic() - ended.start) / 60
        if status == 0:
            self.done.add(job.name)
            left = self.total - len(self.done) - len(self.failed)
            tell(f"{job.name}: done in {minutes:.1f} minutes; {left} of {self.total} left")
        elif self.stopped:
            tell(f"{job.name}: stopped")
        else:
            self.fail(job, f"failed: {reason(job.log, status)}")

    def fail(self, job: Job, why: str) -> None:
        """Record and print why a job failed."""
        self.failed[job.name] = why
        tell(f"{job.name}: {why}")

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Ask all running jobs to stop; asked a second time, they end at once."""
        self.stopped = True
        for each in self.running.values():
            each.process.send_signal(SIGINT)


def tell(line: str) -> None:
    """Print a line about the progress to stderr."""
    print(line, file=sys.stderr, flush=True)


def reason(log: Path, status: int) -> str:
    """Return why a process failed: the signal that killed it, or the last line of its log."""
    if status < 0:
        memory = "" if -status in (SIGINT, SIGTERM) else ", usually because memory ran out"
        return f"killed by {Signals(-status).name}{memory} ({log})"
    said = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").split("\n")
    last = next((line.strip() for line in reversed(said) if line.strip()), "it said nothing")
    return f"{last} ({log})"


def gpus() -> list[str]:
    """Return the GPUs that this process may use, named as in CUDA_VISIBLE_DEVICES."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    count = torch.cuda.device_count()
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def room() -> int:
    """Return how many jobs this machine can run: one per GPU or, without GPUs, one per core."""
    return len(gpus()) or cores()


def environments(at_a_time: int, cores: int, gpus: Sequence[str]) -> list[dict[str, str]]:
    """Divide a machine among jobs: each gets its share of the GPUs, at least one, and of the cores.

    OMP_NUM_THREADS, if set, decides the number of cores instead.
    """
    shares = [gpus[place::at_a_time] for place in range(min(at_a_time, len(gpus)))]
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores // at_a_time))
    return [
        {"OMP_NUM_THREADS": threads}
        | ({"CUDA_VISIBLE_DEVICES": ",".join(shares[place % len(shares)])} if gpus else {})
        for place in range(at_a_time)
    ]
