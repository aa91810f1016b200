"""One command in several processes, as torchrun, SLURM and a person at two machines start it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

TIMEOUT = 120  # seconds


class SignalAfter(Callback):
    """Sends a signal to its own process, the one of this rank, at the start of a batch."""

    def __init__(self, batch: int, name: str, rank: int = 0) -> None:
        self.batch = batch
        self.number = signal.Signals[name]
        self.rank = rank

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        here = trainer.global_rank == self.rank
        if here and trainer.fit_loop.epoch_loop.total_batch_idx == self.batch:
            os.kill(os.getpid(), self.number)


Done = list[subprocess.CompletedProcess[str]]
"""What became of the processes that a person or a scheduler has started."""


def by_lightning(*arguments: str) -> Done:
    """One process, which starts the other."""
    return run_together([["-m", "captioning", *arguments, "--trainer.devices", "2"]])


def by_torchrun(*arguments: str, prefix: str = "--trainer.") -> Done:
    """Two processes on one machine."""
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2"]
    words = ["-m", "captioning", *arguments, f"{prefix}devices", "2"]
    return run_together([[*launcher, "--master_port", free_port(), *words]])


def by_two_torchruns(*arguments: str) -> Done:
    """A process on each of two machines, which here are one."""
    both = ["--nproc_per_node", "1", "--nnodes", "2", "--master_addr", "127.0.0.1"]
    both += ["--master_port", free_port()]
    words = ["-m", "captioning", *arguments, "--trainer.devices", "1", "--trainer.num_nodes", "2"]
    return run_together(
        [["-m", "torch.distributed.run", *both, "--node_rank", rank, *words] for rank in "01"]
    )


def by_slurm(*arguments: str, prefix: str = "--trainer.") -> Done:
    """Two tasks on one node, told what `srun` tells them; a real job needs no MASTER_PORT."""
    job = {
        "SLURM_JOB_ID": "4242",
        "SLURM_JOB_NAME": "captioning",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_NNODES": "1",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NODEID": "0",
        "MASTER_PORT": free_port(),
    }
    command = ["-m", "captioning", *arguments, f"{prefix}devices", "2"]
    tasks = [job | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in "01"]
    return run_together([command] * 2, tasks)


def by_hand(*arguments: str, prefix: str = "--trainer.") -> Done:
    """A process on each of two machines, told by a person which of them it is on."""
    each = [f"{prefix}devices", "1", f"{prefix}num_nodes", "2"]
    command = ["-m", "captioning", *arguments, *each]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    return run_together([command] * 2, [meeting | {"NODE_RANK": rank} for rank in "01"])


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def run_together(
    commands: Sequence[Sequence[str]], environments: Sequence[Mapping[str, str]] = ({}, {})
) -> Done:
    """Start Python with these words, all at a time, and wait for all."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen([sys.executable, *words], env={**os.environ, **own}, **pipes)
        for words, own in zip(commands, environments, strict=False)
    ]
    try:
        told = [process.communicate(timeout=TIMEOUT) for process in started]
    finally:
        for process in started:
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *said)
        for process, said in zip(started, told, strict=True)
    ]
