"""The objectives that the contract is tested with, each with a decoder and options."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import yaml

from captioning.commands.suites import read_suite

CONFIGS = Path(__file__).parents[2] / "configs"
OBJECTIVES = [
    path
    for path in sorted(CONFIGS.glob("*.yaml"))
    if "objective" in yaml.safe_load(path.read_text(encoding="utf-8"))
]
SHAPES = CONFIGS / "data" / "shapes.yaml"
ADVERSARIAL = CONFIGS / "adversarial.yaml"


class Choice(NamedTuple):
    """An objective by its file, and a decoder and changes by what `captioning train` is given."""

    objective: Path
    decoder: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    name: str = ""

    def __str__(self) -> str:
        return f"{self.objective.stem}{self.name}"


LRCN = ("", ())  # that of the shapes world
SHOW_AND_TELL = ("-show-and-tell", ("--decoder", "captioning.decoder.ShowAndTell"))
ATTENTION = ("-attention", ("--config", str(CONFIGS / "attention.yaml")))
DECODERS = (LRCN, SHOW_AND_TELL, ATTENTION)

# What the discriminator keeps between turns, and all that draws, is in these.
GAMES = {
    "-matching": [
        "--objective.discriminator=captioning.discriminator.MatchingDiscriminator",
        "--objective.discriminator.spectral_norm=true",
    ],
    "-every-prefix": ["--objective.per_prefix=true", "--objective.negatives={replay: 2}"],
    "-rollouts": [
        "--objective.estimator.rollouts=2",
        "--objective.prior={real: 0.6, by: share}",
        "--objective.reward=log_d",
        "--objective.discriminator.spectral_norm=true",
        "--objective.negatives={replay: 1, mismatched: 0.5}",
    ],
}


def rows() -> Iterator[Choice]:
    """Yield what the rows of suites change in an objective, each change once."""
    seen = set()
    for suite in sorted((CONFIGS / "suites").glob("*.yaml")):
        for row in read_suite(suite).rows:
            files = [CONFIGS / Path(word).name for word in row.options if word.endswith(".yaml")]
            changes = [word for word in row.options if '"objective"' in word]
            for objective, change in product(set(files) & {*OBJECTIVES}, changes):
                if (objective, change) not in seen:
                    name = "-" + "-".join(row.name.split(", own decoder")[0].split())
                    yield Choice(objective, changes=("--config", change), name=name)
                seen.add((objective, change))


CHOICES = [
    *(
        Choice(objective, decoder, name=name)
        for objective in OBJECTIVES
        for name, decoder in DECODERS
    ),
    *(
        Choice(ADVERSARIAL, decoder, tuple(words), name + among)
        for (name, words), (among, decoder) in zip(GAMES.items(), DECODERS, strict=True)
    ),
    *rows(),
]
