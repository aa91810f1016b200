"""`captioning caption`: anybody's own pictures, captioned."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner, load_captioner
from captioning.commands.configuration import Parser
from captioning.data.image import ImageError
from captioning.data.loading import OnBadImage
from captioning.data.pictures import ImageFiles
from captioning.errors import InputError
from captioning.runs import Run
from captioning.search import Search

BATCH = 50


def caption(
    run: str,
    pictures: list[str],
    search: Search,
    checkpoint: Literal["best", "last"] = "best",
    seed: int = 0,
    format: Literal["text", "json"] = "text",
    on_bad_image: OnBadImage = "error",
) -> None:
    """Print each picture's captions.

    Args:
        run: Run folder, or a checkpoint file, which works alone.
        pictures: Picture files of any common format.
        search: How captions are made: Greedy, Beam, Sampling.
        checkpoint: Of a run folder: the best by validation, or the last.
        seed: Of sampling.
        format: Text, or one JSON object a line: image, captions with their log-probabilities.
        on_bad_image: Stop at a picture that cannot be opened, or leave it out.
    """
    path = Path(run)
    captioner = load_captioner(Run(path).checkpoint(checkpoint) if path.is_dir() else path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    captioner.to(device)
    generator = torch.Generator(device).manual_seed(seed)
    files = ImageFiles([Path(picture) for picture in pictures], captioner.encoder.transform())
    for start in range(0, len(pictures), BATCH):
        names = pictures[start : start + BATCH]
        opened = dict(zip(names, map(files.__getitem__, range(start, start + len(names))), strict=True))
        for name, picture in opened.items():
            if isinstance(picture, ImageError):
                if on_bad_image == "error":
                    raise InputError(f"{picture} (--on_bad_image skip leaves such pictures out)")
                print(f"skipped: {picture}", file=sys.stderr)
        good = {name: picture for name, picture in opened.items() if isinstance(picture, torch.Tensor)}
        if good:
            describe(captioner, good, search, generator, format)


@torch.inference_mode()
def describe(
    captioner: Captioner,
    pictures: dict[str, torch.Tensor],
    search: Search,
    generator: torch.Generator,
    format: Literal["text", "json"],
) -> None:
    """Caption one batch and print it."""
    images = torch.stack(list(pictures.values())).to(generator.device)
    none = Captions.from_lists([[0]], [0])
    batch = Batch(images, None, none, tuple(pictures), ())
    found = search([captioner], [captioner.encode(batch)], generator)
    for row, name in enumerate(pictures):
        captions = [captioner.vocabulary.decode(tokens) for tokens in found.tokens[row].tolist()]
        chances = found.log_probabilities[row].tolist()
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
    caption(**vars(parser.instantiate(parser.parse_args(arguments))))
    return 0
