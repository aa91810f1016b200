"""Handlers of the signals that ask a process to stop."""

from collections.abc import Callable
from signal import SIGINT, SIGTERM, SIGUSR1, Signals, signal
from types import FrameType
from typing import Any, TypeAlias

# SLURM is usually asked to send the last one some time before the end: --signal=USR1@120.
SIGNALS = (SIGINT, SIGTERM, SIGUSR1)

Handlers: TypeAlias = dict[Signals, Any]


def listen(hear: Callable[[int, FrameType | None], None]) -> Handlers:
    """Install a handler of these signals; return the previous handlers, for `restore`."""
    return {number: signal(number, hear) for number in SIGNALS}


def restore(handlers: Handlers) -> None:
    """Reinstall previous signal handlers."""
    for number, handler in handlers.items():
        signal(number, handler)
