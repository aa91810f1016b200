"""Early stopping that is the same whether a run was resumed or not."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping


class Patience(EarlyStopping):
    """Stops training as EarlyStopping does, and before the first epoch if it did so before.

    EarlyStopping trains for one more epoch at every resumption, and cannot be given more patience
    then.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore how long there was no improvement, but not the patience."""
        super().load_state_dict(state_dict | {"patience": self.patience})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop before the first epoch if there is no patience left."""
        trainer.should_stop = self.wait_count >= self.patience
