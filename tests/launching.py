"""One command in several processes, as torchrun, SLURM and a person at two machines start it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

TIMEOUT = 120


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


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def slurm() -> list[dict[str, str]]:
    """What `srun` tells two tasks on one node; a real job needs no MASTER_PORT."""
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
    return [job | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in "01"]


def two_machines() -> list[dict[str, str]]:
    """What a person tells each of two machines."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    return [meeting | {"NODE_RANK": rank} for rank in "01"]


def run_together(
    arguments: Sequence[str], environments: Sequence[Mapping[str, str]]
) -> list[subprocess.CompletedProcess[str]]:
    """`captioning` with these arguments, once in each environment, all at a time."""
    command = [sys.executable, "-m", "captioning", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen(command, env={**os.environ, **own}, **pipes) for own in environments
    ]
    try:
        told = [process.communicate(timeout=TIMEOUT) for process in started]
    finally:
        for process in started:
            process.kill()
    return [
        subprocess.CompletedProcess(command, process.returncode, *said)
        for process, said in zip(started, told, strict=True)
    ]


def torchrun(
    arguments: Sequence[str], *options: str, processes: int = 2
) -> subprocess.CompletedProcess[str]:
    """`torchrun --nproc_per_node 2 -m captioning` with these arguments."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--master_port", free_port()]
    command = [*launcher, "--nproc_per_node", str(processes), "-m", "captioning", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
