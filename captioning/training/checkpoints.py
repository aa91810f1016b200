"""Checkpoint files that are always whole, and that a run finds again where its folder now lies."""

from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint

from captioning.files import whole


class WholeFiles(TorchCheckpointIO):
    """Writes to a partial file beside the checkpoint and renames it, on any file system."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Replace the checkpoint at `path`."""
        with whole(Path(path)) as partial:
            super().save_checkpoint(checkpoint, partial, storage_options)


class MovableCheckpoint(ModelCheckpoint):
    """Keeps the best score of a run whose folder was moved, which ModelCheckpoint forgets."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state, with its paths in the present folder."""

        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(state_dict[name]) for name in paths}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(
            state_dict | moved | {"dirpath": self.dirpath, "best_k_models": best}
        )
