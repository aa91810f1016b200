"""Plan a suite's runs: which there are, which are done, and which jobs make the others."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from captioning.code_version import digest, version
from captioning.commands import train
from captioning.commands.configuration import Parser
from captioning.commands.evaluate import METRICS, code_of, file_name, full_name, sweep_name
from captioning.commands.recipe import (
    Recipe,
    contents,
    fingerprint,
    modules,
    without_encoder,
)
from captioning.commands.suites import PLANNED, Evaluate, Row, Suite
from captioning.data.dataset import Dataset
from captioning.data.reading import parse_json, read_text
from captioning.errors import InputError
from captioning.jobs import Job
from captioning.metrics import METRICS as ALL_METRICS
from captioning.metrics import check_metrics
from captioning.runs import Run, read_evaluation
from captioning.search import Search

# Settings that do not affect a captioner, or that the recipe contains in another form.
ELSEWHERE = PLANNED | {"data", "threads"}
TRAINING = ("captioning.training.run",)
USUAL = METRICS.split(",")


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

    def __init__(
        self, suite: Suite, before: Sequence[str], after: Sequence[str], dry: bool = False
    ) -> None:
        """Take the options of `captioning train` that come before and after those of each row.

        A `dry` plan builds no encoder, which may have to download its weights.
        """
        self.suite = suite
        self.before, self.after, self.dry = before, after, dry
        self.search = build_search(suite.evaluate)
        if suite.evaluate.metrics:
            check_metrics(suite.evaluate.metrics)
        self.code = code_of(self.search)
        self.recipes: dict[str, Recipe] = {}
        self.jobs: dict[Path, Job | None] = {}  # by the evaluation that they make
        self.fingerprints: dict[str, str] = {}  # by settings of the data
        self.told = False  # whether any time is the suite's, not that of runs made here

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
            train.check_result(config)
            built = parser.build(without_encoder(config) if self.dry else config)
        except InputError as error:
            raise InputError(f"{self.suite.name}, row {row.name!r}: {error}") from error
        settings = yaml.safe_load(parser.dump(config))
        code = version([*TRAINING, *modules(settings)])
        start = self.recipes[row.from_row] if row.from_row else None
        own = {key: value for key, value in settings.items() if key not in ELSEWHERE}
        files = contents(own)
        own |= {"data": self.fingerprint(built.data, settings["data"])}
        own |= {"files": files} if files else {}
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
            words = ["evaluate", str(run.folder), *self.evaluating("--split", [run])]
            return Job(name, "evaluate", captioning(words), log)
        words = ["train", *recipe.words, "--seed", str(seed), "--name", recipe.name]
        needs: tuple[str, ...] = ()
        if row.from_row:
            source = self.recipes[row.from_row].run(seed)
            words += ["--from_run", str(source.folder)]
            first = self.jobs[self.evaluation([source])]
            needs = (first.name,) if first and not source.finished_file.exists() else ()
        words += self.evaluating("--evaluate", [run])
        words += ["--resume", "auto"]  # because when it is its turn, others may have begun it
        doing = "go on" if run.checkpoint("last").exists() else "train"
        return Job(name, doing, captioning(words), log, needs, self.seconds(recipe))

    def seconds(self, recipe: Recipe) -> float | None:
        """Return how long such runs took here on average, or as the suite says, if known."""
        seconds = recipe.seconds()
        minutes = self.suite.minutes.get(recipe.data)
        if seconds is None and minutes is not None:
            self.told, seconds = True, 60.0 * minutes
        return seconds

    def ensemble(self, row: Row, source: str, seeds: int) -> Trial:
        """Return the trial of the ensemble of a row's captioners, of all seeds."""
        members = [self.recipes[source].run(seed) for seed in range(seeds)]
        evaluation = self.evaluation(members)
        if evaluation not in self.jobs:
            self.jobs[evaluation] = self.ensemble_job(row.name, members)
        return Trial(row.name, row, members[0], evaluation, self.jobs[evaluation])

    def ensemble_job(self, name: str, members: Sequence[Run]) -> Job | None:
        """Return the job that evaluates an ensemble; None if that is done."""
        needs = [self.jobs[self.evaluation([member])] for member in members]
        others = json.dumps([str(member.folder) for member in members[1:]])
        words = ["evaluate", str(members[0].folder), "--ensemble_with", others]
        job = Job(
            name,
            "evaluate",
            captioning([*words, *self.evaluating("--split", members)]),
            log_file(members[0].folder.parent, f"{members[0].name}-and-{len(members) - 1}"),
            tuple(job.name for job in needs if job),
        )
        return None if not job.needs and self.evaluated(members) else job

    def evaluation(self, members: Sequence[Run], search: str | None = None) -> Path:
        """Return the folder that `captioning evaluate` uses for an evaluation."""
        how = full_name(search or self.search.description, None, members)
        return members[0].evaluation_folder(self.suite.evaluate.split, file_name(how))

    def evaluated(self, members: Sequence[Run]) -> bool:
        """Return whether everything requested was evaluated with the current code."""
        wanted = self.suite.evaluate
        metrics, code = self.scored(members)
        temperatures, sweep_code = self.sampled(members)
        asked = wanted.metrics or USUAL
        return (
            metrics.issuperset(asked)
            and code == self.code
            and temperatures.issuperset(wanted.temperatures)
            and (sweep_code == self.code or not wanted.temperatures)
        )

    def scored(self, members: Sequence[Run]) -> tuple[set[str], str]:
        """Return the metrics that an evaluation has, and its code; none if there is none."""
        folder = self.evaluation(members)
        if not (folder / "metrics.json").exists():
            return set(), ""
        found = read_evaluation(folder)
        parts = {name.partition("_")[0] for name in found.metrics}  # Bleu_1 is of Bleu
        return {name for name in ALL_METRICS if name.partition("_")[0] in parts}, found.code

    def sampled(self, members: Sequence[Run]) -> tuple[set[float], str]:
        """Return the temperatures at which was sampled, and by which code; none if never."""
        file = self.evaluation(members, sweep_name(self.search)) / "temperatures.json"
        if not file.exists():
            return set(), ""
        drawn = parse_json(read_text(file), str(file))
        return {point["temperature"] for point in drawn["points"]} - {0}, drawn.get("code", "")

    def evaluating(self, split: str, members: Sequence[Run]) -> list[str]:
        """Return the options of an evaluation; `split` is the name of the split's option.

        It keeps what there is, which another suite may have asked for.
        """
        evaluate = self.suite.evaluate
        words = [split, evaluate.split, "--search", json.dumps(evaluate.search)]
        asked = evaluate.metrics or USUAL
        metrics = dict.fromkeys([*asked, *sorted(self.scored(members)[0])])
        words += ["--metrics", ",".join(metrics)] if metrics.keys() != {*USUAL} else []
        temperatures = dict.fromkeys([*evaluate.temperatures, *sorted(self.sampled(members)[0])])
        at = ",".join(str(temperature) for temperature in temperatures)
        return [*words, "--temperatures", at] if at else words


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
