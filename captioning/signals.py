"""The signals that ask a process to stop, and who hears them."""

from collections.abc import Callable
from signal import SIGINT, SIGTERM, SIGUSR1, Signals, signal
from types import FrameType
from typing import Any, TypeAlias

# The last is what SLURM is usually asked to send some time before the end: --signal=USR1@120.
SIGNALS = (SIGINT, SIGTERM, SIGUSR1)

Handlers: TypeAlias = dict[Signals, Any]


def listen(hear: Callable[[int, FrameType | None], None]) -> Handlers:
    """Have these signals heard; give who has heard them before, for `restore`."""
    return {number: signal(number, hear) for number in SIGNALS}


def restore(handlers: Handlers) -> None:
    """Have signals heard as before."""
    for number, handler in handlers.items():
        signal(number, handler)
