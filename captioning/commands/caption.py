"""`captioning caption`: caption your own images."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from captioning.bulk.collection import Block, find
from captioning.bulk.generation import Task, batches_of, caption_all, caption_batches
from captioning.bulk.parts import Parts
from captioning.bulk.records import as_line, check_format
from captioning.captioner import load_captioner
from captioning.commands.configuration import Parser
from captioning.data.batching import OnBadImage
from captioning.device import best_device
from captioning.errors import InputError
from captioning.files import digest
from captioning.processes import place, start
from captioning.runs import Which, open_run
from captioning.search import Search

BATCHES = 20  # per block of files, the smallest unit of work that a process takes


def caption(
    run: str,
    images: list[str],
    search: Search,
    checkpoint: Which | None = None,
    seed: int = 0,
    format: Literal["text", "json"] = "text",
    output: str | None = None,
    on_bad_image: OnBadImage = "error",
    batch_size: int = 50,
    num_workers: int = 2,
    devices: int = 1,
    num_nodes: int = 1,
) -> None:
    """Print each image's captions, or write them to a file.

    Args:
        run: Run folder, or a checkpoint file, which is self-contained.
        images: Image files of any common format, folders of them at any depth, tar shards in
            WebDataset's format, or patterns in quotes: 'shards/{000..127}.tar', 'photos/*/*.jpg'.
        search: How to generate captions: Greedy, Beam, Sampling.
        checkpoint: The run's checkpoint: the best by validation, or the last; null for its own
            choice.
        seed: Seed of sampling.
        format: Format of the printed captions: text, or one JSON object per line with image and
            captions, including their log-probabilities.
        output: File to write instead, .jsonl or .parquet. If interrupted, the same command resumes,
            with the images that existed when it first started.
        on_bad_image: Stop at an image that cannot be opened, or skip it; an output then contains
            the error.
        batch_size: Images per batch.
        num_workers: Processes that open images, for each process that captions them.
        devices: GPUs of each machine, or single-threaded processes on the CPU if there are none;
            the output is the same for any number. Under torchrun or SLURM, as many as those start.
        num_nodes: Number of machines, which share the output's folder.
    """
    for name, number, least in (("batch_size", batch_size, 1), ("num_workers", num_workers, 0)):
        if number < least:
            raise InputError(f"--{name}: expected {least} or more, got {number}")
    if output is None and devices * num_nodes > 1:
        raise InputError("--devices and --num_nodes share the work of an output: name it, --output")
    if output is not None:
        check_format(Path(output))
    path = Path(run)
    path = open_run(path).checkpoint(checkpoint) if path.is_dir() else path
    captioner = load_captioner(path)
    start(devices, num_nodes)
    captioner.to(best_device())
    task = Task(captioner, search, seed, batch_size, num_workers, on_bad_image)
    blocks = find(images, batch_size * BATCHES)
    if output is None:
        if place()[0] == 0:  # torchrun may have started other processes
            print_captions(task, blocks, format)
        return
    settings = {
        "captioner": digest(path, "sha256"),
        "search": {"name": type(search).__name__, **vars(search)},
        "seed": seed,
        "batch_size": batch_size,
        "images": [str(Path(name).absolute()) for name in images],
    }
    write_captions(task, Path(output), settings, blocks)


def print_captions(task: Task, blocks: Iterator[Block], format: Literal["text", "json"]) -> None:
    """Print captions as they are generated, and report skipped images."""
    batches = (batch for block in blocks for batch in batches_of(0, block, task.batch_size))
    for _, records in caption_batches(task, batches):
        for record in records:
            if "error" in record:
                print(f"skipped: {record['error']}", file=sys.stderr)
            elif format == "json":
                print(as_line(record), end="")
            else:
                for each in record["captions"]:
                    print(f"{record['image']}: {each['caption']}")


def write_captions(
    task: Task, output: Path, settings: dict[str, Any], blocks: Iterator[Block]
) -> None:
    """Write captions to a file and print a summary."""
    try:
        told = caption_all(task, Parts(output, task.batch_size), settings, blocks)
    except KeyboardInterrupt:
        if place()[0] == 0:
            print(f"{output}: stopped; the same command goes on", file=sys.stderr)
        raise
    if told:
        print(told, file=sys.stderr)


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and run the command."""
    parser = Parser(prog="captioning caption", description=__doc__)
    parser.add_argument("run", help="run folder or checkpoint file")
    parser.add_argument("images", nargs="+", help="image files, folders, tar shards, patterns")
    parser.add_function_arguments(caption, skip={"run", "images"})
    parser.set_defaults({"search": {"class_path": "captioning.search.Greedy"}})
    caption(**vars(parser.build(parser.read(arguments))))
    return 0
