"""`captioning caption`: anybody's own pictures, captioned."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from captioning.captioner import Captioner, load_captioner
from captioning.commands.configuration import Parser
from captioning.data.batching import OnBadImage
from captioning.data.image import ImageError
from captioning.data.pictures import ImageFiles
from captioning.device import best_device
from captioning.errors import InputError
from captioning.runs import Which, open_run
from captioning.search import Search

BATCH = 50


def caption(
    run: str,
    pictures: list[str],
    search: Search,
    checkpoint: Which | None = None,
    seed: int = 0,
    format: Literal["text", "json"] = "text",
    on_bad_image: OnBadImage = "error",
) -> None:
    """Print each picture's captions.

    Args:
        run: Run folder, or a checkpoint file, which works alone.
        pictures: Picture files of any common format.
        search: How captions are made: Greedy, Beam, Sampling.
        checkpoint: Of a run folder: the best by validation, or the last; null: its own choice.
        seed: Of sampling.
        format: Text, or one JSON object a line: image, captions with their log-probabilities.
        on_bad_image: Stop at a picture that cannot be opened, or leave it out.
    """
    path = Path(run)
    captioner = load_captioner(open_run(path).checkpoint(checkpoint) if path.is_dir() else path)
    device = best_device()
    captioner.to(device)
    generator = torch.Generator(device).manual_seed(seed)
    files = ImageFiles([Path(picture) for picture in pictures], captioner.encoder.transform())
    for start in range(0, len(pictures), BATCH):
        rows = range(start, min(start + BATCH, len(pictures)))
        opened = [(pictures[row], files[row]) for row in rows]
        good = [(name, tensor) for name, tensor in opened if isinstance(tensor, Tensor)]
        for _, error in opened:
            if isinstance(error, ImageError):
                pass_over(error, on_bad_image)
        if good:
            print_captions(captioner, good, search, generator, format)


def pass_over(error: ImageError, on_bad_image: OnBadImage) -> None:
    """Tell of a bad picture, or stop at it."""
    if on_bad_image == "error":
        raise InputError(f"{error} (--on_bad_image skip leaves such pictures out)")
    print(f"skipped: {error}", file=sys.stderr)


@torch.inference_mode()
def print_captions(
    captioner: Captioner,
    pictures: list[tuple[str, Tensor]],
    search: Search,
    generator: torch.Generator,
    format: Literal["text", "json"],
) -> None:
    """Caption one batch of named pictures and print it."""
    names, images = zip(*pictures, strict=True)
    features = captioner.encode_images(torch.stack(images))
    found = search([captioner], [features], generator)
    rows = zip(names, found.tokens.tolist(), found.log_probabilities.tolist(), strict=True)
    for name, tokens, chances in rows:
        captions = [captioner.vocabulary.decode(each) for each in tokens]
        if format == "json":
            record = [
                {"caption": text, "log_probability": chance}
                for text, chance in zip(captions, chances, strict=True)
            ]
            print(json.dumps({"image": name, "captions": record}, ensure_ascii=False))
        else:
            print("\n".join(f"{name}: {text}" for text in captions))


def main(arguments: Sequence[str]) -> int:
    """Parse, build, run."""
    parser = Parser(prog="captioning caption", description=__doc__)
    parser.add_argument("run", help="run folder or checkpoint file")
    parser.add_argument("pictures", nargs="+", help="picture files")
    parser.add_function_arguments(caption, skip={"run", "pictures"})
    parser.set_defaults({"search": {"class_path": "captioning.search.Greedy"}})
    caption(**vars(parser.build(parser.read(arguments))))
    return 0
