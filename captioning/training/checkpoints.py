"""Checkpoint files written atomically: a killed process never leaves a partial one."""

from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from captioning.files import whole


class WholeFiles(TorchCheckpointIO):
    """Writes to a partial file beside the checkpoint and renames it, on any file system."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Replace the checkpoint at `path`."""
        with whole(Path(path)) as partial:
            super().save_checkpoint(checkpoint, partial, storage_options)
