"""Independent jobs, each on one core, in processes that never outlive the one that began them."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from signal import SIG_IGN, SIGINT, signal
from threading import Thread
from typing import TypeVar

from captioning.errors import InputError

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def run_all(
    function: Callable[[Argument], Result],
    arguments: Sequence[Argument],
    jobs: int,
    name: str = "jobs",
) -> list[Result]:
    """The results of all arguments, in their order; `jobs` are computed at a time.

    Each computes with one thread, so that a result does not depend on how many run beside it. One
    job at a time runs in this process, where a debugger can follow; more run in others, so that
    function, arguments and results must be picklable. The first exception of a job is raised, and
    ends the others; InputError where a process was killed.
    """
    from tqdm import tqdm

    if jobs == 1:
        with _one_thread():
            return [function(each) for each in tqdm(arguments, name, unit="job", disable=None)]
    context = get_context("spawn")
    theirs, lifeline = context.Pipe(duplex=False)
    workers = min(jobs, max(1, len(arguments)))
    try:
        # The lifeline is cut before the pool waits for its processes: what still runs, ends.
        with ProcessPoolExecutor(workers, context, _begin, (theirs,)) as pool, lifeline:
            results = [pool.submit(function, argument) for argument in arguments]
            done = as_completed(results)
            for result in tqdm(done, name, len(results), unit="job", disable=None):
                result.result()
        return [result.result() for result in results]
    except BrokenProcessPool as error:
        raise InputError(
            f"{name}: a process was ended from outside, most often for want of memory; "
            "run fewer at a time by --jobs"
        ) from error
    finally:
        theirs.close()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread for a while."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _begin(lifeline: Connection) -> None:
    """Make a process ready for jobs, and for its end."""
    signal(SIGINT, SIG_IGN)  # Ctrl-C reaches all processes; the first one decides what it means
    import torch

    torch.set_num_threads(1)
    Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    """End this process once the one that began it has let go of the other end, or is no more."""
    wait([lifeline])
    os._exit(1)
