"""Several processes share one piece of work, with the same result for any number of them."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import cache
from threading import Thread
from typing import Any, TypeVar

import torch.distributed

from captioning.errors import InputError

Found = TypeVar("Found")
Name = TypeVar("Name")

PARENT = os.getppid()
# How long one process waits for another: their shares may end hours apart, and if one dies, its
# launcher or `watch_parent` ends the others.
PATIENCE = timedelta(days=1)


def place() -> tuple[int, int]:
    """Return this process's rank, from 0, and the number of processes: (0, 1) if it is alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def first_process() -> bool:
    """Return whether this process is alone or the first of several.

    It works before they are connected, too: under torchrun, under SLURM and on machines numbered
    by NODE_RANK, where Lightning itself takes the first process of each for the first of all.
    """
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    rank: int = rank_zero_only.rank  # type: ignore[attr-defined]
    return rank == 0 and os.environ.get("NODE_RANK", "0") == "0"


def by_torchrun() -> bool:
    """Return whether torchrun has started this process."""
    return torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()


def by_slurm() -> bool:
    """Return whether SLURM has started this process as a task, not a shell or torchrun within.

    Raises InputError if SLURM does not say how many tasks are on a node, which Lightning must know.
    """
    if "SLURM_NTASKS" not in os.environ or by_torchrun():
        return False
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    if not SLURMEnvironment.detect():
        return False
    tasks = os.environ["SLURM_NTASKS"]
    if int(tasks) > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise InputError(
            f"SLURM: expected a number of tasks per node, got only the total, {tasks}; begin with "
            "srun --nodes N --ntasks-per-node M, or with srun --ntasks 1"
        )
    return True


def check_tasks(devices: int, num_nodes: int) -> None:
    """Refuse any number of processes but that of SLURM's tasks: each would work alone."""
    if by_slurm() and int(os.environ["SLURM_NTASKS"]) != devices * num_nodes:
        raise InputError(
            f"devices × num_nodes: expected SLURM's {os.environ['SLURM_NTASKS']} tasks, got "
            f"{devices} × {num_nodes}; change these options, or begin with srun --nodes "
            f"{num_nodes} --ntasks-per-node {devices}"
        )


def check_shares(images: int, processes: int, split: str) -> None:
    """Refuse, in every process, to leave one of them without an image."""
    if images < processes:
        raise InputError(
            f"{processes} processes need an image each, the {split} split has {images}: use "
            "fewer devices"
        )


def start(devices: int, num_nodes: int) -> None:
    """Start the other processes, or join those that torchrun or SLURM has started.

    Each gets its own GPU or, if there are none, the CPU. Does nothing if the processes are
    connected already.
    """
    if min(devices, num_nodes) < 1:
        raise InputError(
            f"--devices and --num_nodes: expected 1 or more, got {devices} and {num_nodes}"
        )
    watch_parent()
    if place()[1] > 1:
        return
    check_tasks(devices, num_nodes)
    if devices * num_nodes == 1 and not by_torchrun():
        return
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        Fabric(
            strategy=DDPStrategy(timeout=PATIENCE), devices=devices, num_nodes=num_nodes
        ).launch()
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise InputError(f"--devices: {' '.join(str(error).split())}") from error


def from_first(work: Callable[[], Found]) -> Found:
    """Call `work` in the first process and return its result in all; the others wait for it.

    An InputError is raised in the first process only; the others exit silently with status 2.
    """
    rank, size = place()
    if size == 1:
        return work()
    found: list[Any] = [None]
    if rank == 0:
        try:
            found = [work()]
        except InputError as error:
            found = [error]
    torch.distributed.broadcast_object_list(found)
    if not isinstance(found[0], InputError):
        return found[0]  # type: ignore[no-any-return]
    if rank == 0:
        raise found[0]
    raise SystemExit(2)


@cache
def watch_parent() -> None:
    """End this process soon after its parent dies, if that is a launcher or the first process.

    On GPUs it might otherwise wait for that process, which NCCL does not miss, for hours.
    """

    def watch() -> None:
        while os.getppid() == PARENT:
            time.sleep(1)
        os._exit(1)  # the main thread may be waiting for a GPU and could not raise anything

    if by_torchrun() or os.environ.get("LOCAL_RANK", "0") != "0":
        Thread(target=watch, daemon=True).start()


def collect(work: Callable[[], Found]) -> list[Found]:
    """Call `work` in every process; return all results, by rank, in the first and [] in the others.

    The processes disconnect here, and the first continues alone. An InputError of any of them is
    raised in the first only.
    """
    own: Found | InputError
    try:
        own = work()
    except InputError as error:
        own = error
    rank, size = place()
    found: list[Any] = [own]
    if size > 1:
        found = [None] * size
        torch.distributed.gather_object(own, found if rank == 0 else None)
    part()
    if rank > 0:
        return []
    for each in found:
        if isinstance(each, InputError):
            raise each
    return found


def merge(own: dict[Name, Found]) -> dict[Name, Found]:
    """Return, in every process, the union of the dictionaries of all."""
    _, size = place()
    if size == 1:
        return own
    shares: list[Any] = [None] * size
    torch.distributed.all_gather_object(shares, own)
    return {name: value for share in shares for name, value in share.items()}


def part() -> None:
    """Disconnect from the other processes, if connected."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def join(
    shares: Iterable[Sequence[tuple[Name, Found]]], names: Iterable[Name]
) -> dict[Name, Found]:
    """Merge what the processes found, in the order of `names`, some of which may be missing.

    Raises InputError for a duplicate or an unknown name: numbers made from those would be wrong.
    """
    pairs = [pair for share in shares for pair in share]
    order = {name: place for place, name in enumerate(names)}
    found: dict[Name, Found] = {}
    for name, value in pairs:
        if name in found or name not in order:
            what = "came twice" if name in found else "is not in the split"
            raise InputError(
                f"expected every image of the split once, but {name!r} {what}: look for it in "
                "the data set's files, and evaluate with --devices 1"
            )
        found[name] = value
    return dict(sorted(found.items(), key=lambda pair: order[pair[0]]))
