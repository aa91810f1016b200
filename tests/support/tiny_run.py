"""A captioner so small that training it takes a second."""

from pathlib import Path

import torch
import yaml


def config(folder: Path) -> Path:
    """A tiny captioner of a tiny world, trained for two epochs of five batches."""
    content = {
        "data": {
            "class_path": "captioning.data.Shapes",
            "init_args": {
                "folder": str(folder / "shapes"),
                "sizes": {"train": 40, "val": 8, "test": 8},
            },
        },
        "encoder": {"class_path": "captioning.encoder.SmallCnn", "init_args": {"channels": 8}},
        "decoder": {
            "class_path": "captioning.decoder.Lrcn",
            "init_args": {"hidden_size": 16, "embedding_size": 8},
        },
        "objective": {
            "class_path": "captioning.objectives.scheduled_sampling.ScheduledSampling",
            "init_args": {"schedule": {"class_path": "captioning.schedules.Linear"}},
        },
        "optimisation": {"schedule": {"class_path": "captioning.schedules.Cosine"}},
        "loading": {"batch_size": 8, "captions_per_image": 2, "minimum_count": 1, "num_workers": 0},
        "runs": str(folder / "runs"),
        "trainer": {"max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def weights(run: Path) -> dict[str, torch.Tensor]:
    """What a run has learned so far."""
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    state = checkpoint["state_dict"]
    return {name: value for name, value in state.items() if torch.is_tensor(value)}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def validation_losses(run: Path) -> list[str]:
    """One for each epoch, as the log has it."""
    header, *rows = (run / "logs" / "metrics.csv").read_text().splitlines()
    column = header.split(",").index("val/cross_entropy")
    return [row.split(",")[column] for row in rows if row.split(",")[column]]
