"""`captioning shards`: write any data set as tar files for WebDataset and this package."""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from captioning.commands.configuration import Parser
from captioning.data.dataset import Dataset, all_splits
from captioning.data.reading import field, read_yaml
from captioning.data.shard_writing import plan_shards, write_shards
from captioning.errors import InputError


def main(arguments: Sequence[str]) -> int:
    """Write the shards of each split and print the configuration that reads them."""
    parser = argparse.ArgumentParser(
        prog="captioning shards",
        description=f"{__doc__} Run it again after whatever stopped it: it goes on from there.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, help="YAML file with a key `data`")
    parser.add_argument("--output", type=Path, required=True, help="folder for the shards")
    parser.add_argument(
        "--splits", nargs="+", help="splits to write; default: all of the data set's"
    )
    parser.add_argument("--per-shard", type=int, default=2000, help="images in a shard")
    parser.add_argument(
        "--seed", type=int, default=0, help="random seed of the training split's order"
    )
    options = parser.parse_args(arguments)
    if options.per_shard < 1:
        raise InputError(f"--per-shard must be 1 or more, got {options.per_shard}")
    data = read_data(options.config)
    splits = options.splits
    found = {split: data.examples(split) for split in splits} if splits else all_splits(data)
    patterns = {}
    for split, examples in found.items():
        if split == "train":  # because training shuffles only within groups of shards
            random.Random(options.seed).shuffle(examples)
        plan = plan_shards(examples, options.output.absolute(), split, options.per_shard)
        print(f"{split}: {len(examples):,} images", file=sys.stderr)
        write_shards(plan)
        patterns[split] = f"{options.output.absolute()}/{split}-{{00000..{len(plan) - 1:05}}}.tar"
    settings = {"name": data.name, "shards": patterns}
    config = {"data": {"class_path": "captioning.data.Shards", "init_args": settings}}
    print(yaml.safe_dump(config, sort_keys=False, width=1000), end="")
    return 0


def read_data(file: Path) -> Dataset:
    """Build the data set of a configuration, ignoring its other settings."""
    parser = Parser(prog=str(file))
    parser.add_argument("--data", type=Dataset)
    settings = field(read_yaml(file), "data", dict, str(file))
    data: Dataset = parser.build(parser.parse_object({"data": settings})).data
    return data
