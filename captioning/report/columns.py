"""The numbers in reports: their order, titles and format."""

from typing import NamedTuple


class Column(NamedTuple):
    """The format of a number; most are shares or scores, by convention printed times 100.

    Attributes:
        title: Its heading on a page.
        short: Its heading in a terminal, at most eight characters; empty if it is not shown there.
        scale: Factor by which it is multiplied.
        digits: Number of decimals.
    """

    title: str
    short: str = ""
    scale: float = 100.0
    digits: int = 1


def nats(title: str) -> Column:
    """Return the format of a number in nats, which is not scaled."""
    return Column(title, scale=1.0, digits=3)


COLUMNS = {
    "Bleu_1": Column("BLEU-1", "Bleu_1"),
    "Bleu_2": Column("BLEU-2", "Bleu_2"),
    "Bleu_3": Column("BLEU-3", "Bleu_3"),
    "Bleu_4": Column("BLEU-4", "Bleu_4"),
    "METEOR": Column("METEOR", "METEOR"),
    "ROUGE_L": Column("ROUGE-L", "ROUGE_L"),
    "CIDEr": Column("CIDEr", "CIDEr"),
    "SPICE": Column("SPICE", "SPICE"),
    "CLIPScore": Column("CLIPScore", "CLIP-S"),
    "RefCLIPScore": Column("RefCLIPScore", "RefCLIPS"),
    "distinct": Column("distinct captions, %", "distinct"),
    "distinct_1": Column("distinct-1", "dist-1"),
    "distinct_2": Column("distinct-2", "dist-2"),
    "self_bleu_4": Column("Self-BLEU-4", "SelfBLEU"),
    "mutual_bleu_4": Column("mutual BLEU-4", "mBLEU"),
    "words": Column("words used", "words", 1.0, 0),
    "vocabulary_share": Column("of the training words, %", "of vocab"),
    "novel": Column("novel captions, %", "novel"),
    "bad_endings": Column("bad endings, %", "bad ends"),
    "length": Column("length, words", "length", 1.0),
    "length_deviation": Column("± deviation", "±", 1.0),
    "length_5": Column("5th percentile", "", 1.0, 0),
    "length_50": Column("median", "", 1.0, 0),
    "length_95": Column("95th percentile", "", 1.0, 0),
    "minutes": Column("minutes", "", 1.0),
    "epochs": Column("epochs", "", 1.0, 0),
    "true": Column("true captions, %"),
    "forward_kl": nats("KL[P‖Q], nats"),
    "forward_kl_per_word": nats("KL[P‖Q] per word, nats"),
    "reverse_kl": nats("KL[Q‖P_δ], nats"),
    "reverse_kl_error": nats("± standard error"),
    "outside": Column("Q outside P, %"),
    "jensen_shannon": nats("JS[P, Q], nats"),
    "total_variation": Column("total variation, %"),
    "entropy": nats("H[Q], nats"),
    "true_entropy": nats("H[P], nats"),
    **{
        f"js_0{prior}": Column(f"π = {prior}", "", 1.0, 3)
        for prior in (".01", ".1", ".5", ".9", ".99")
    },
}
"""By their names in evaluations, in the order in which they are shown."""


def column(name: str) -> Column:
    """Return the format of a number; an unknown one is shown under its own name."""
    return COLUMNS.get(name) or Column(name.replace("_", " "))


def write(name: str, value: float) -> str:
    """Format a number for its column."""
    shown = column(name)
    return f"{shown.scale * value:.{shown.digits}f}"


def write_signed(name: str, value: float) -> str:
    """Format a difference for its column, with its sign."""
    return ("−" if value < 0 else "+") + write(name, abs(value))
