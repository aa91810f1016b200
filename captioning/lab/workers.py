"""Run independent jobs, each on one core, in processes that never outlive their parent."""

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
    """Return the results for all arguments, in order, computing `jobs` of them at a time.

    Each uses one thread, so that results do not depend on `jobs`. With `jobs` of 1 all run in this
    process, where a debugger can follow; otherwise in others, and function, arguments and results
    must be picklable. The first exception of a job is raised and ends the others; InputError if a
    process was killed.
    """
    from tqdm import tqdm

    if jobs == 1:
        with _one_thread():
            return [function(each) for each in tqdm(arguments, name, unit="job", disable=None)]
    context = get_context("spawn")
    theirs, lifeline = context.Pipe(duplex=False)
    workers = min(jobs, max(1, len(arguments)))
    try:
        # The lifeline closes before the pool waits for its processes; that ends any still running.
        with ProcessPoolExecutor(workers, context, _begin, (theirs,)) as pool, lifeline:
            results = [pool.submit(function, argument) for argument in arguments]
            done = as_completed(results)
            for result in tqdm(done, name, len(results), unit="job", disable=None):
                result.result()
        return [result.result() for result in results]
    except BrokenProcessPool as error:
        raise InputError(
            f"{name}: a process was ended from outside, usually because memory ran out; "
            "run fewer at a time by --jobs"
        ) from error
    finally:
        theirs.close()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread inside the block."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _begin(lifeline: Connection) -> None:
    """Prepare a process for its jobs, and for the end of its parent."""
    signal(SIGINT, SIG_IGN)  # Ctrl-C reaches all processes; the parent handles it
    import torch

    torch.set_num_threads(1)
    Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    """Exit once the parent has closed the other end of the lifeline or has died."""
    wait([lifeline])
    os._exit(1)
