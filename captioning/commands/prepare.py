"""`captioning prepare`: find or download a published data set and unpack it for its reader."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from captioning.data.paths import data_folder
from captioning.data.preparation import prepare
from captioning.data.sources import PUBLISHED
from captioning.data.supply import Supply
from captioning.errors import InputError


def main(arguments: Sequence[str]) -> int:
    """Find, download, unpack and check the missing parts, and print what is there."""
    parser = argparse.ArgumentParser(
        prog="captioning prepare",
        description=f"{__doc__} Run it again after whatever stopped it: it goes on from there.",
    )
    parser.add_argument("set", choices=PUBLISHED)
    parser.add_argument(
        "--files", type=Path, help="folder to look through for archives before downloading any"
    )
    parser.add_argument(
        "--link", action="store_true", help="link what is already unpacked in the folder of --files"
    )
    parser.add_argument(
        "--mirror", help="server to ask in place of the home page: https://mirror.example/data"
    )
    options = parser.parse_args(arguments)
    if options.files is not None and not options.files.is_dir():
        raise InputError(f"--files: {options.files} is not a folder")
    if options.link and options.files is None:
        raise InputError("--link: give the folder that has the files with --files")
    if options.mirror is not None and not options.mirror.startswith(("http://", "https://")):
        raise InputError(f"--mirror: expected http:// or https://, got {options.mirror!r}")
    supply = Supply(options.files, options.link, options.mirror)
    prepare(PUBLISHED[options.set], data_folder() / options.set, supply)
    return 0
