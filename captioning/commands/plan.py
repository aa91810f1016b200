"""Plan a suite's runs: which there are, which are done, and which jobs make the others."""

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
from captioning.data.image import image_status
from captioning.data.reading import parse_json, read_text
from captioning.errors import InputError
from captioning.jobs import Job
from captioning.metrics import check_metrics
from captioning.runs import Run, read_evaluation
from captioning.search import Search

# Settings that do not affect a captioner, or that the recipe contains in another form.
ELSEWHERE = PLANNED | {"data", "threads"}
TRAINING = ("captioning.training.run",)


@dataclass(frozen=True)
class Recipe:
    """How a row's captioners are made, independent of the seed.

    Attributes:
        words: The command line of `captioning train`, without seed and name.
        config: The configuration to which it resolves.
        settings: Digest of the resolved configuration, the data, and the run that training starts
            from.
        code: Digest of the source code that the configuration uses.
    """

    words: tuple[str, ...]
    config: Namespace
    settings: str
    code: str

    @property
    def name(self) -> str:
        """The run's `--name`: its own, then the digests of its settings and code."""
        return "-".join(
            [*([self.config.name] if self.config.name else []), self.settings, self.code]
        )

    def run(self, seed: int) -> Run:
        config = self.config.clone()
        config.seed, config.name = seed, self.name
        return run_folder(config)

    def seconds(self) -> float | None:
        """Return how long such runs took on average, or None if there were none.

        Such are runs of these settings, with any code, else all of this data set and objective.
        """
        plain = self.config.clone()
        plain.name = ""
        alike = run_folder(plain).group
        for pattern in (f"*-{self.settings}-*-seed*", f"{alike}-*"):
            files = sorted(Path(self.config.runs).glob(f"{pattern}/finished.json"))
            found = [parse_json(read_text(file), str(file)).get("seconds") for file in files]
            times: list[float] = [seconds for seconds in found if seconds is not None]
            if times:
                return mean(times)
        return None


@dataclass(frozen=True)
class Trial:
    """One run of a row, or its ensemble, with its evaluation.

    Attributes:
        name: The row's name, with the seed.
        row: The row.
        run: The run; for an ensemble, its first member.
        evaluation: The folder of the evaluation.
        job: What is left to do; None if it is done.
    """

    name: str
    row: Row
    run: Run
    evaluation: Path
    job: Job | None


class Planner:
    """Finds the runs of a suite's rows and the jobs that are left to do.

    Rows that resolve to the same run share it and its job.
    """

    def __init__(self, suite: Suite, before: Sequence[str], after: Sequence[str]) -> None:
        """Take the options of `captioning train` that come before and after those of each row."""
        self.suite = suite
        self.before, self.after = before, after
        self.search = build_search(suite.evaluate)
        if suite.evaluate.metrics:
            check_metrics(suite.evaluate.metrics)
        self.code = code_of(self.search)
        self.recipes: dict[str, Recipe] = {}
        self.jobs: dict[Path, Job | None] = {}  # by the evaluation that they make
        self.fingerprints: dict[str, str] = {}  # by settings of the data

    def plan(self, seeds: int) -> list[Trial]:
        """Return all trials, seed by seed, then the ensembles if there is more than one seed."""
        trained = [row for row in self.suite.rows if row.ensemble_of is None]
        for row in trained:
            self.recipes[row.name] = self.recipe(row)
        trials = [self.trial(row, seed) for seed in range(seeds) for row in trained]
        if seeds > 1:
            rows = self.suite.rows
            trials += [self.ensemble(r, r.ensemble_of, seeds) for r in rows if r.ensemble_of]
        return trials

    def recipe(self, row: Row) -> Recipe:
        """Resolve a row's configuration; InputError if it is invalid."""
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
        """Return the fingerprint of a data set, which is read only once.

        The split for evaluation counts, too, so that new references need a new evaluation.
        """
        key = json.dumps(settings)
        if key not in self.fingerprints:
            splits = dict.fromkeys(["train", "val", self.suite.evaluate.split])
            self.fingerprints[key] = fingerprint(data, splits)
        return self.fingerprints[key]

    def trial(self, row: Row, seed: int) -> Trial:
        """Return a row's run with one seed, and what is left to do for it."""
        recipe = self.recipes[row.name]
        run = recipe.run(seed)
        evaluation = self.evaluation([run])
        name = f"{row.name}, seed {seed}"
        if evaluation not in self.jobs:
            self.jobs[evaluation] = self.job(name, row, seed, evaluation)
        return Trial(name, row, run, evaluation, self.jobs[evaluation])

    def job(self, name: str, row: Row, seed: int, evaluation: Path) -> Job | None:
        """Return the job that is left to do for a run: train, resume or evaluate; None if done."""
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
        """Return the trial of the ensemble of a row's captioners, of all seeds."""
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
        """Return the folder that `captioning evaluate` uses for an evaluation."""
        how = full_name(search or self.search.description, None, members)
        return members[0].evaluation_folder(self.suite.evaluate.split, file_name(how))

    def evaluated(self, members: Sequence[Run]) -> bool:
        """Return whether everything requested was evaluated with the current code."""
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
        """Return the options of an evaluation; `split` is the name of the split's option."""
        evaluate = self.suite.evaluate
        words = [split, evaluate.split, "--search", json.dumps(evaluate.search)]
        words += ["--metrics", ",".join(evaluate.metrics)] if evaluate.metrics else []
        at = ",".join(str(temperature) for temperature in evaluate.temperatures)
        return [*words, "--temperatures", at] if at else words


def has_all(metrics: Iterable[str], found: Iterable[str]) -> bool:
    """Return whether every metric was found, where Bleu_1 and so on stand for Bleu."""
    return {metric.partition("_")[0] for metric in metrics} <= {
        name.partition("_")[0] for name in found
    }


def captioning(words: Iterable[str]) -> tuple[str, ...]:
    """Return the command line of a subcommand, run by the same Python."""
    return (sys.executable, "-m", "captioning", *words)


def log_file(runs: Path, name: str) -> Path:
    """Return the log file of a run's processes."""
    return runs / "compare" / f"{name}.log"


def build_search(evaluate: Evaluate) -> Search:
    """Build the search of a suite's evaluation."""
    parser = Parser(prog="evaluate")
    parser.add_argument("--search", type=Search)
    search: Search = parser.build(parser.parse_object({"search": evaluate.search})).search
    return search


def class_paths(value: Any) -> Iterator[str]:
    """Yield every class path in a configuration."""
    if isinstance(value, dict):
        if isinstance(value.get("class_path"), str):
            yield value["class_path"]
        yield from (path for each in value.values() for path in class_paths(each))
    elif isinstance(value, list):
        yield from (path for each in value for path in class_paths(each))


def fingerprint(data: Dataset, splits: Iterable[str]) -> str:
    """Hash each image's id, size in bytes and captions; the files' location does not count."""
    known = sha256()
    for split in splits:
        for example in data.examples(split):
            status = image_status(example.image)
            size = status[0] if status else None
            known.update(f"{split} {example.image_id!r} {size} {example.captions!r}\n".encode())
    return known.hexdigest()
