"""`captioning critic`: how well a fresh discriminator tells a run's captions from human ones."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse import Namespace

from captioning.captioner import Captioner, load_captioner, read_checkpoint
from captioning.commands.configuration import Parser
from captioning.commands.evaluate import full_name, read_data
from captioning.data.batching import EvaluationBatches, OnBadImage
from captioning.data.dataset import Dataset
from captioning.device import best_device
from captioning.discriminator import Discriminator
from captioning.divergences import log_odds
from captioning.errors import InputError
from captioning.evaluation import critic
from captioning.evaluation.known_world import comparable, known_scenes, measure_batch
from captioning.evaluation.law import summarise
from captioning.loaders import evaluation_batches
from captioning.objectives.adversarial import Adversarial
from captioning.objectives.base import Objective
from captioning.runs import Run, Which, newest_run, open_run
from captioning.search import Sampling, Search

# More words than any caption has: a true caption that is cut off would be recognised by that.
WHOLE = 1_000_000


def criticise(
    search: Search,
    discriminator: Callable[[int, int], Discriminator],
    plan: critic.Plan,
    run: str | None = None,
    train_on: str = "val",
    test_on: str = "test",
    own: bool = False,
    on_bad_image: OnBadImage | None = None,
    checkpoint: Which | None = None,
    seed: int = 0,
    format: Literal["text", "json"] = "text",
) -> None:
    """Train a critic on one split, and test it on another.

    Args:
        search: How to generate the run's captions; with Sampling they follow its own law Q.
        discriminator: Network of the critic.
        plan: How to train the critic.
        run: Run folder; null for the newest one.
        train_on: Split to train the critic on, preferably one on which the captioner was not
            trained; from only hundreds of images it may learn nothing, and the training split
            works better.
        test_on: Split to test the critic on.
        own: Test the discriminator that an adversarial run has trained, instead of a fresh one, to
            which `discriminator`, `plan` and `train_on` apply.
        on_bad_image: Stop at a bad image, or skip it; null for the choice made in training.
        checkpoint: The best by validation, or the last; null for the run's own choice.
        seed: Seed of the critic and of all random draws.
        format: Text, or one JSON object.
    """
    if seed < 0:
        raise InputError(f"--seed: expected 0 or more, got {seed}")
    if not own:
        check_splits(train_on, test_on)
    torch.manual_seed(seed)
    opened = open_run(newest_run() if run is None else Path(run))
    data, loading = read_data(opened, on_bad_image)
    loading = replace(loading, max_words=WHOLE)
    source = opened.checkpoint(checkpoint)
    captioner = load_captioner(source).to(best_device())
    sizes = len(captioner.vocabulary), captioner.encoder.feature_size
    generator = torch.Generator(captioner.feature_mean.device).manual_seed(seed)

    def batches(split: str) -> EvaluationBatches:
        return evaluation_batches(data.examples(split), captioner, loading, data.name)

    if own:
        judge, offset = own_discriminator(opened, source, captioner)
    else:
        judge, offset = discriminator(*sizes), 0.0
        judge.to(generator.device)
        taught = [critic.show(captioner, batch, search, generator) for batch in batches(train_on)]
        critic.train(judge, taught, plan, torch.Generator().manual_seed(seed))
    # Lazily, so that not all batches of the test are in memory at once.
    tested = (critic.show(captioner, batch, search, generator) for batch in batches(test_on))
    judged = critic.judge_all(judge, tested, offset)
    found = critic.summarise(judged, seed)
    record = {
        "data": data.name,
        "split": test_on,
        "search": full_name(search.description, checkpoint, [opened]),
        "critic": f"{type(judge).__name__}, {'the own' if own else f'trained on {train_on}'}",
        "images": len(judged.accuracy),
        "metrics": {name: value for name, (value, _, _) in found.items()},
        "intervals": {name: {"low": low, "high": high} for name, (_, low, high) in found.items()},
        "exact": exact(search, data, captioner, batches(test_on)),
    }
    print(json.dumps(record, indent=2) if format == "json" else text(record))


def check_splits(train_on: str, test_on: str) -> None:
    """Refuse to test a critic on captions that it could have memorised."""
    if train_on == test_on:
        raise InputError(
            f"--train_on and --test_on are both {test_on!r}, where a critic could have "
            "memorised the captions: name two splits"
        )


def own_discriminator(run: Run, source: Path, captioner: Captioner) -> tuple[Discriminator, float]:
    """Rebuild an adversarial run's discriminator; return it and its logits' offset from log P/Q."""
    parser = Parser(prog=str(run.config_file))
    parser.add_argument("--objective", type=Objective)
    objective = parser.build(parser.parse_object({"objective": run.config["objective"]})).objective
    if not isinstance(objective, Adversarial):
        raise InputError(
            f"{run.folder} has no discriminator of its own, its objective is "
            f"{type(objective).__name__}: leave out --own"
        )
    objective.prepare(captioner, {})
    prefix = "objective.discriminator."
    weights = read_checkpoint(source)["state_dict"].items()
    objective.discriminator.load_state_dict(
        {name.removeprefix(prefix): value for name, value in weights if name.startswith(prefix)}
    )
    return objective.discriminator, log_odds(objective.prior.shown)


@torch.inference_mode()
def exact(
    search: Search, data: Dataset, captioner: Captioner, batches: EvaluationBatches
) -> dict[str, float]:
    """Return the bounds on any critic if P is known and the captions follow Q itself, else none."""
    if not isinstance(search, Sampling) or (
        search.description != Sampling(search.samples).description
    ):
        return {}
    ids = [example.image_id for example in batches.images.examples]
    known = comparable(known_scenes(data, ids), captioner.vocabulary)
    measured = [
        pair
        for batch in (batches if known else ())
        for pair in measure_batch([captioner], [captioner.encode(batch)], batch.image_ids, known)
    ]
    if not measured:
        return {}
    found = summarise([each for _, each in measured])
    best = (1 + found.total_variation) / 2
    return {"accuracy": best, "jensen_shannon": found.jensen_shannon}


def text(record: dict[str, Any]) -> str:
    """Format a record for a terminal."""
    best = record["exact"]
    lines = ["{data} {split}, {search}, {images} images, judged by {critic}".format(**record)]
    for name, words, form in (
        ("accuracy", "told apart", "{:.1%}"),
        ("jensen_shannon", "JS[P, Q] is at least", "{:.4f} nats"),
    ):
        value, interval = record["metrics"][name], record["intervals"][name]
        low, high = form.format(interval["low"]), form.format(interval["high"])
        line = f"{words} {form.format(value)} (95%: {low} to {high})"
        lines.append(line + (f", exactly {form.format(best[name])}" if best else ""))
    return "\n".join(lines)


def check_own(config: Namespace, defaults: Namespace) -> None:
    """Refuse options that only apply to a discriminator to be trained."""
    for key in ("discriminator", "plan", "train_on"):
        if config[key] != defaults[key]:
            raise InputError(
                f"--own tests the discriminator that the run has trained, to which --{key} does "
                "not apply: leave out one of the two"
            )


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and run the command."""
    parser = Parser(
        prog="captioning critic",
        description=f"{__doc__} Human captions with words that the captioner does not know are "
        "left out, as are images that have no others: the critic would tell them by these words, "
        "whatever the captioner has learned. What is said of JS[P, Q] is then still true.",
    )
    parser.add_argument("run", nargs="?", help="run folder; by default the newest")
    parser.add_function_arguments(criticise, skip={"run", "own"})
    parser.add_argument("--own", action="store_true", help="test an adversarial run's own critic")
    parser.set_defaults(
        {
            "search": {"class_path": "captioning.search.Sampling", "init_args": {"samples": 5}},
            "discriminator": {
                "class_path": "captioning.discriminator.RecurrentDiscriminator",
                "init_args": {"hidden_size": 256, "embedding_size": 256},
            },
        }
    )
    config = parser.read(arguments)
    if config.own:
        check_own(config, parser.read([]))
    criticise(**vars(parser.build(config)))
    return 0
