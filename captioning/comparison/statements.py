"""Explanatory sentences about the numbers of a comparison."""

from collections.abc import Sequence

from captioning.comparison.compared import Compared
from captioning.comparison.significance import LEVEL, Contrasts, least_by_seeds
from captioning.comparison.table import changes, sources
from captioning.metrics.uncertainty import RESAMPLES


def about_numbers(rows: Sequence[Compared]) -> list[str]:
    """Explain the numbers of the table."""
    said = ["All numbers are × 100 but nats, counts of words and lengths."]
    if max(len(row.evaluations) for row in rows) > 1:
        said.append("Mean ± standard deviation over seeds.")
    if once := [row.name for row in rows if len(row.evaluations) == 1]:
        every = len(once) == len(rows)
        said.append(
            "One seed a row: the variation between training runs is unknown."
            if every
            else f"Of one evaluation, and so without ±: {', '.join(once)}."
        )
    said.append(
        "Bold: the best of these rows, where that is defined; of a divergence, the smallest."
    )
    return said


def about_tests(rows: Sequence[Compared], found: Contrasts) -> list[str]:
    """Explain the tests and their scope."""
    each = [contrast for row in found.values() for contrast in row.values()]
    tested = [row for row in rows if row.name in found]
    said = []
    if any(contrast.interval for contrast in each):
        baselines = dict.fromkeys(f"“{row.baseline}”" for row in tested)
        said.append(
            f"▲ and ▼ in the first table: above or below {' or '.join(baselines)}, with p < "
            f"{LEVEL} over images: each image's captions in the two rows, those of all seeds at "
            f"once, are exchanged by the toss of a coin, {RESAMPLES:,} times (approximate "
            f"randomisation). p is Holm-corrected for {len(tested)} row{'s' * (len(tested) > 1)}. "
            "It covers other images for these captioners, not other training runs. BLEU and "
            "METEOR are computed from counts summed over images and seeds. The interval is the "
            "paired bootstrap's."
        )
    if any(contrast.spread is not None for contrast in each):
        said.append(
            "± after a difference is the standard deviation, over seeds, of the differences "
            "between the two runs of a seed, one of which may have started from the other."
        )
    seeds = max((len(row.evaluations) for row in tested), default=0)
    by_seeds = {contrast.paired for contrast in each if contrast.over_seeds is not None}
    if False in by_seeds:
        said.append(
            "p over seeds covers other training runs: how often a random division of both rows' "
            "runs gives as large a difference of means (Fisher's permutation test, not corrected "
            f"for the number of rows). With {seeds} seeds a row it is at least "
            f"{least_by_seeds(seeds):.2g}."
        )
    if True in by_seeds:
        said.append(
            "Where each run began from the baseline's run of the same seed, p over seeds is that "
            "of the pairs: how often random signs of their differences give as large a mean. With "
            f"{seeds} seeds it is at least {least_by_seeds(seeds, paired=True):.2g}."
        )
    return said


def about_priors(rows: Sequence[Compared]) -> list[str]:
    """Explain JS_π, and which row should have the least."""
    if not any(evaluation.js_by_prior for row in rows for evaluation in row.evaluations):
        return []
    said = "JS_π/(π(1−π)) is exact; as π goes to 0 it becomes KL[P‖Q], as π goes to 1 KL[Q‖P]."
    least = (
        "Each column of JS_π should be least in the row trained to minimise it, if there is one."
    )
    return [said, least] if any(map(has_prior, rows)) else [said]


def has_prior(row: Compared) -> bool:
    """Return whether a row was trained with a prior, according to its configuration."""
    objective = row.runs[0].config.get("objective") if row.runs else None
    options = objective.get("init_args") if isinstance(objective, dict) else None
    return isinstance(options, dict) and "prior" in options


def about_changes(rows: Sequence[Compared]) -> list[str]:
    """Explain what the changes are between."""
    seeds = max((len(records) for records in changes(rows).values() if any(records)), default=0)
    if not seeds:
        return []
    said = "What training changed: each run against the run of the same seed that it began from"
    return [f"{said}; mean ± standard deviation over seeds." if seeds > 1 else f"{said}."]


def about_published(rows: Sequence[Compared]) -> list[str]:
    """Cite the sources of published numbers, with their reliability."""
    said = [
        f"[{number}] {source}; {sure}." for number, (source, sure) in enumerate(sources(rows), 1)
    ]
    if said:
        said.append("Published numbers are of their own data, references and scorer.")
    return said


def about_cost(rows: Sequence[Compared]) -> list[str]:
    """Explain how a row's minutes were counted."""
    said = (
        "Minutes by the clock that training and evaluating a run took if nothing interrupted it, "
        "without the run that it began from; other runs may have shared the hardware."
    )
    return [said] if any(row.runs for row in rows) else []


def about_failures(rows: Sequence[Compared]) -> list[str]:
    """List the missing runs of rows that have others, and why they are missing."""
    return [f"{row.name}: {why}" for row in rows if row.evaluations for why in row.failures]
