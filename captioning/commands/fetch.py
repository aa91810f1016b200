"""`captioning fetch`: get what a metric needs besides Python packages."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from captioning.downloads.jars import fetch
from captioning.errors import InputError
from captioning.files import MEGABYTE
from captioning.metrics.spice import JARS, jars_folder


def main(arguments: Sequence[str]) -> int:
    """Fetch what is requested, unless it is there already, and print its folder."""
    size = sum(jar.size for jar in JARS) // MEGABYTE
    parser = argparse.ArgumentParser(prog="captioning fetch", description=__doc__)
    parser.add_argument("what", choices=["spice"], help=f"the parser of SPICE, {size} MB")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--source", type=Path, help="folder that has it, instead of a download")
    place.add_argument("--repository", help="address of a Maven repository; default: Maven Central")
    options = parser.parse_args(arguments)
    if options.source is not None and not options.source.is_dir():
        raise InputError(f"--source: {options.source} is not a folder")
    fetch(JARS, jars_folder(), options.source, options.repository)
    print(jars_folder())
    return 0
