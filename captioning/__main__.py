"""`captioning COMMAND ...`: find the command, run it, report a user's mistake in one line."""

import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from captioning.errors import InputError

COMMANDS = {
    "train": ("captioning.commands.train", "train a captioner by an objective"),
    "chain": ("captioning.commands.chain", "train by one objective after another"),
    "compare": ("captioning.commands.compare", "train and evaluate every row of a comparison"),
    "evaluate": ("captioning.commands.evaluate", "score a run's captions with the COCO metrics"),
    "critic": ("captioning.commands.critic", "try to tell a run's captions from human ones"),
    "score": ("captioning.commands.score", "score anybody's results file with the COCO metrics"),
    "caption": ("captioning.commands.caption", "caption your own images"),
    "report": ("captioning.report", "make a run's page, or a table of several runs"),
    "lab": ("captioning.commands.lab", "check the paper's claims where the truth is known"),
    "prepare": ("captioning.commands.prepare", "download and check COCO, Flickr8k or Flickr30k"),
    "shards": ("captioning.commands.shards", "put a data set into tar files, for scale"),
    "features": ("captioning.commands.features", "encode a data set's images once and for all"),
    "fetch": ("captioning.commands.fetch", "get what SPICE needs into the user's cache"),
    "doctor": ("captioning.doctor", "show what is installed, what is missing and how to fix it"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0 on success, 2 for a user's mistake, 130 when interrupted."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if arguments is None:  # as `python -m` does, so that a user's own classes are found
        sys.path.insert(0, str(Path.cwd()))
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0
    if words[0] == "--version":
        print(f"captioning {version('captioning')}")
        return 0
    try:
        if words[0] not in COMMANDS:
            raise InputError(f"no command {words[0]!r}: expected one of {', '.join(COMMANDS)}")
        module, _ = COMMANDS[words[0]]
        status: int = importlib.import_module(module).main(words[1:])
        return status
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def usage() -> str:
    """Return the list of commands as text."""
    lines = [f"  {name:<10}{purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(["usage: captioning COMMAND ...", "", *lines, "", "captioning COMMAND --help"])


if __name__ == "__main__":
    sys.exit(main())
