"""Checkpoint files that are there whole or not at all, whenever the process is killed."""

from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from captioning.files import whole


class WholeFiles(TorchCheckpointIO):
    """Writes beside the file and renames, as Lightning does only within one file system."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Replace the checkpoint at `path`."""
        with whole(Path(path)) as partial:
            super().save_checkpoint(checkpoint, partial, storage_options)
