"""From a suite to its runs: which there are, which are done, and what makes the others."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

import yaml
from jsonargparse import Namespace

from captioning.code_version import digest, version
from captioning.commands import train
from captioning.commands.configuration import Parser
from captioning.commands.evaluate import SWEEP, code_of, file_name, full_name
from captioning.commands.run_folder import run_folder
from captioning.commands.suites import PLANNED, Evaluate, Row, Suite
from captioning.data.dataset import Dataset
from captioning.data.image import picture_status
from captioning.data.reading import parse_json, read_text
from captioning.errors import InputError
from captioning.jobs import Job
from captioning.metrics import check_metrics
from captioning.runs import Run, read_evaluation
from captioning.search import Search

# What a captioner does not depend on, or what the recipe says in another way.
ELSEWHERE = PLANNED | {"data", "threads"}
TRAINING = ("captioning.training", "captioning.loaders")


@dataclass(frozen=True)
class Recipe:
    """How a row's captioners are made, whatever their seed.

    Attributes:
        words: The command line of `captioning train`, but for the seed and the name.
        config: What it resolves to.
        settings: Letters of the resolved configuration, the data, and what training starts from.
        code: Letters of the sources that the configuration reaches.
    """

    words: tuple[str, ...]
    config: Namespace
    settings: str
    code: str

    @property
    def name(self) -> str:
        """The run's `--name`: its own, then what tells it from all runs that differ."""
        return "-".join(
            [*([self.config.name] if self.config.name else []), self.settings, self.code]
        )

    def run(self, seed: int) -> Run:
        config = self.config.clone()
        config.seed, config.name = seed, self.name
        return run_folder(config)

    def seconds(self) -> float | None:
        """How long such runs took on average, by this code or other; None if there were none."""
        pattern = f"*-{self.settings}-*-seed*/finished.json"
        files = Path(self.config.runs).glob(pattern)
        found = [parse_json(read_text(file), str(file)).get("seconds") for file in sorted(files)]
        times = [seconds for seconds in found if seconds is not None]
        return mean(times) if times else None


@dataclass(frozen=True)
class Trial:
    """One run of a row, or its ensemble, evaluated.

    Attributes:
        name: The row's, with the seed.
        row: The row.
        run: The run; an ensemble's first.
        evaluation: The folder of the evaluation.
        job: What is left to do; None: nothing.
    """

    name: str
    row: Row
    run: Run
    evaluation: Path
    job: Job | None


class Planner:
    """Finds the runs of a suite's rows, and the jobs that are left to do.

    Rows that resolve to the same run share it, and its job.
    """

    def __init__(self, suite: Suite, before: Sequence[str], after: Sequence[str]) -> None:
        """Take the options of `captioning train` that stand before and after those of each row."""
        self.suite = suite
        self.before, self.after = before, after
        self.search = build_search(suite.evaluate)
        if suite.evaluate.metrics:
            check_metrics(suite.evaluate.metrics)
        self.code = code_of(self.search)
        self.recipes: dict[str, Recipe] = {}
        self.jobs: dict[Path, Job | None] = {}  # by the evaluation that they leave
        self.fingerprints: dict[str, str] = {}  # by the data's settings

    def plan(self, seeds: int) -> list[Trial]:
        """Give all trials, seed by seed; then the ensembles, where there are seeds for them."""
        trained = [row for row in self.suite.rows if row.ensemble_of is None]
        for row in trained:
            self.recipes[row.name] = self.recipe(row)
        trials = [self.trial(row, seed) for seed in range(seeds) for row in trained]
        if seeds > 1:
            rows = self.suite.rows
            trials += [self.ensemble(r, r.ensemble_of, seeds) for r in rows if r.ensemble_of]
        return trials

    def recipe(self, row: Row) -> Recipe:
        """Resolve a row's configuration; InputError where it is wrong in any way."""
        words = [*self.before, *row.options, *self.after]
        parser = train.make_parser()
        try:
            config = parser.read(words)
            built = parser.build(config)
        except InputError as error:
            raise InputError(f"{self.suite.name}, row {row.name!r}: {error}") from error
        settings = yaml.safe_load(parser.dump(config))
        modules = [*TRAINING, *(path.rpartition(".")[0] for path in class_paths(settings))]
        code = version(modules)
        start = self.recipes[row.from_row] if row.from_row else None
        own = {key: value for key, value in settings.items() if key not in ELSEWHERE}
        own |= {"data": self.fingerprint(built.data, settings["data"])}
        if start:
            own |= {"from_run": start.settings}
            code = digest(code + start.code)
        text = json.dumps(own, sort_keys=True, default=str)
        return Recipe(tuple(words), config, digest(text), code)

    def fingerprint(self, data: Dataset, settings: Any) -> str:
        """Tell data sets apart, of which each is read but once.

        What is evaluated on counts, too, so that no evaluation is older than its references.
        """
        key = json.dumps(settings)
        if key not in self.fingerprints:
            splits = dict.fromkeys(["train", "val", self.suite.evaluate.split])
            self.fingerprints[key] = fingerprint(data, splits)
        return self.fingerprints[key]

    def trial(self, row: Row, seed: int) -> Trial:
        """Find a row's run of one seed, and what is left to do for it."""
        recipe = self.recipes[row.name]
        run = recipe.run(seed)
        evaluation = self.evaluation([run])
        name = f"{row.name}, seed {seed}"
        if evaluation not in self.jobs:
            self.jobs[evaluation] = self.job(name, row, seed, evaluation)
        return Trial(name, row, run, evaluation, self.jobs[evaluation])

    def job(self, name: str, row: Row, seed: int, evaluation: Path) -> Job | None:
        """Say what is left to do for a run: train, go on, evaluate, or nothing."""
        recipe = self.recipes[row.name]
        run = recipe.run(seed)
        log = log_file(run.folder.parent, run.name)
        if run.finished_file.exists():
            if self.evaluated([run]):
                return None
            words = ["evaluate", str(run.folder), *self.evaluating("--split")]
            return Job(name, "evaluate", captioning(words), log)
        words = ["train", *recipe.words, "--seed", str(seed), "--name", recipe.name]
        needs: tuple[str, ...] = ()
        if row.from_row:
            source = self.recipes[row.from_row].run(seed)
            words += ["--from_run", str(source.folder)]
            first = self.jobs[self.evaluation([source])]
            needs = (first.name,) if first and not source.finished_file.exists() else ()
        words += self.evaluating("--evaluate")
        begun = run.checkpoint("last").exists()
        words += ["--resume"] if begun else []
        doing = "go on" if begun else "train"
        return Job(name, doing, captioning(words), log, needs, recipe.seconds())

    def ensemble(self, row: Row, source: str, seeds: int) -> Trial:
        """Find the evaluation of all seeds' captioners of a row together."""
        members = [self.recipes[source].run(seed) for seed in range(seeds)]
        evaluation = self.evaluation(members)
        needs = [self.jobs[self.evaluation([member])] for member in members]
        others = json.dumps([str(member.folder) for member in members[1:]])
        words = ["evaluate", str(members[0].folder), "--ensemble_with", others]
        job = Job(
            row.name,
            "evaluate",
            captioning([*words, *self.evaluating("--split")]),
            log_file(members[0].folder.parent, f"{members[0].name}-and-{seeds - 1}"),
            tuple(job.name for job in needs if job),
        )
        done = not job.needs and self.evaluated(members)
        return Trial(row.name, row, members[0], evaluation, None if done else job)

    def evaluation(self, members: Sequence[Run], search: str | None = None) -> Path:
        """Give the folder of an evaluation, as `captioning evaluate` names it."""
        how = full_name(search or self.search.description, None, members)
        return members[0].evaluation_folder(self.suite.evaluate.split, file_name(how))

    def evaluated(self, members: Sequence[Run]) -> bool:
        """Say whether all that is wanted was evaluated, by the code as it is now."""
        folder, wanted = self.evaluation(members), self.suite.evaluate.temperatures
        if not (folder / "metrics.json").exists():
            return False
        found = read_evaluation(folder)
        if found.code != self.code or not has_all(self.suite.evaluate.metrics, found.metrics):
            return False
        sweep = self.evaluation(members, SWEEP) / "temperatures.json"
        if not wanted or not sweep.exists():
            return not wanted
        drawn = parse_json(read_text(sweep), str(sweep))
        there = {point["temperature"] for point in drawn["points"]}
        return drawn.get("code") == self.code and there.issuperset(wanted)

    def evaluating(self, split: str) -> list[str]:
        """Say how to evaluate, the split under its option's name."""
        evaluate = self.suite.evaluate
        words = [split, evaluate.split, "--search", json.dumps(evaluate.search)]
        words += ["--metrics", ",".join(evaluate.metrics)] if evaluate.metrics else []
        at = ",".join(str(temperature) for temperature in evaluate.temperatures)
        return [*words, "--temperatures", at] if at else words


def has_all(metrics: Iterable[str], found: Iterable[str]) -> bool:
    """Say whether each metric is among those found, where Bleu goes by Bleu_1 and so on."""
    return {metric.partition("_")[0] for metric in metrics} <= {
        name.partition("_")[0] for name in found
    }


def captioning(words: Iterable[str]) -> tuple[str, ...]:
    """Give the command of these words, run by the Python that runs this."""
    return (sys.executable, "-m", "captioning", *words)


def log_file(runs: Path, name: str) -> Path:
    """Give the file of what a run's processes say."""
    return runs / "compare" / f"{name}.log"


def build_search(evaluate: Evaluate) -> Search:
    """Make the search that a suite names."""
    parser = Parser(prog="evaluate")
    parser.add_argument("--search", type=Search)
    search: Search = parser.build(parser.parse_object({"search": evaluate.search})).search
    return search


def class_paths(value: Any) -> Iterator[str]:
    """Find every class that a configuration names."""
    if isinstance(value, dict):
        if isinstance(value.get("class_path"), str):
            yield value["class_path"]
        yield from (path for each in value.values() for path in class_paths(each))
    elif isinstance(value, list):
        yield from (path for each in value for path in class_paths(each))


def fingerprint(data: Dataset, splits: Iterable[str]) -> str:
    """Tell data sets apart by each picture's id and size in bytes, and by its captions.

    Where the files lie does not count.
    """
    known = sha256()
    for split in splits:
        for example in data.examples(split):
            status = picture_status(example.image)
            size = status[0] if status else None
            known.update(f"{split} {example.image_id!r} {size} {example.captions!r}\n".encode())
    return known.hexdigest()
