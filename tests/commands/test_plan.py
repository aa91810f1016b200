"""From a suite to its runs: what is one run, what is taken as it is, and what goes on."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from captioning.code_version import read
from captioning.commands.compare import longest, outline
from captioning.commands.evaluate import METRICS
from captioning.commands.plan import Planner, Trial
from captioning.commands.recipe import checksum
from captioning.commands.suites import Evaluate, Row, Suite
from captioning.errors import InputError
from captioning.jobs import Job
from captioning.runs import Run
from tests.support.builders import FASTEST, make_network, save_weights
from tests.support.tiny_run import config

FORCED = {"objective": {"class_path": "captioning.objectives.teacher_forcing.TeacherForcing"}}
SHORT = ("--trainer.max_epochs", "1")


def planner(
    folder: Path,
    *rows: Row,
    search: str = "Greedy",
    after: tuple[str, ...] = (),
    metrics: tuple[str, ...] = (),
    temperatures: tuple[float | int, ...] = (),
    minutes: float | None = None,
) -> Planner:
    """The planner of a suite in the tiny world, whose runs lie in `folder/runs`."""
    found = {"class_path": f"captioning.search.{search}"}
    evaluate = Evaluate("test", found, metrics, temperatures)
    file = folder / "config.yaml" if (folder / "config.yaml").exists() else config(folder)
    words = ("--runs", str(folder / "runs"), *after)
    suite = Suite("tiny", rows, evaluate, minutes={"shapes": minutes} if minutes else {})
    return Planner(suite, ("--config", str(file)), words)


def forced(name: str = "forced", *more: str) -> Row:
    return Row(name, ("--config", json.dumps(FORCED), *more))


def finish(trial: Trial, code: str, seconds: float | None = 90.0, metrics: str = METRICS) -> None:
    """Leave in a run's folder what a run leaves there that is finished and evaluated."""
    trial.evaluation.mkdir(parents=True)
    names = ("data", "split", "search", "signature")
    record = dict.fromkeys(names, "") | {"rows": {}, "images": 8, "code": code}
    record["metrics"] = dict.fromkeys(metrics.split(","), 0.5)
    (trial.evaluation / "metrics.json").write_text(json.dumps(record))
    trial.run.finished_file.write_text(json.dumps({"seconds": seconds}))


def begin(run: Run) -> None:
    """Leave in a run's folder what a run leaves there that is in its middle."""
    run.checkpoint("last").parent.mkdir(parents=True)
    run.checkpoint("last").touch()


def command(trial: Trial) -> str:
    assert trial.job
    return " ".join(trial.job.command)


def test_one_row_is_one_run_in_whichever_suite_and_under_whichever_name(tmp_path: Path) -> None:
    (one,) = planner(tmp_path, forced()).plan(1)
    (same,) = planner(tmp_path, forced("maximum likelihood"), search="Beam").plan(1)
    assert one.run == same.run
    assert one.evaluation.name == "test-greedy"
    assert same.evaluation.name == "test-beam-5"


def test_what_changes_a_captioner_makes_another_run_and_what_does_not_does_not(
    tmp_path: Path,
) -> None:
    (run,) = (trial.run for trial in planner(tmp_path, forced()).plan(1))
    rows = [forced("a", *SHORT), forced("b", "--threads", "1"), forced("c", "--decoder.tied", "1")]
    longer, threads, other = (trial.run for trial in planner(tmp_path, *rows[:2], rows[0]).plan(1))
    assert longer == other != run
    assert threads == run
    captions = tmp_path / "shapes" / "annotations" / "captions_train.json"
    captions.write_text(captions.read_text().replace("circle", "disc"))
    data = {"data": {"class_path": "captioning.data.Coco", "init_args": coco(tmp_path / "shapes")}}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | data))
    (renamed,) = (trial.run for trial in planner(tmp_path, forced()).plan(1))
    captions.write_text(captions.read_text().replace("disc", "circle"))
    (again,) = (trial.run for trial in planner(tmp_path, forced()).plan(1))
    assert again == run != renamed


def test_a_change_of_code_or_of_a_file_that_settings_name_makes_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function named by its import path, as a reward may be, and an encoder's weights."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CAPTIONING_DATA", str(tmp_path))
    weights = Path(save_weights(make_network(FASTEST), tmp_path)).name
    scores = tmp_path / "scores_of_mine.py"
    scored = "--objective.reward", "FunctionReward", "--objective.reward.function"
    critical = ("--objective", "SelfCritical", *scored, "scores_of_mine.length")
    encoder = ("--encoder", "Backbone", "--encoder.architecture", FASTEST)
    rows = Row("a", critical), forced("b", *encoder, "--encoder.weights", weights)

    def runs(code: str) -> list[Run]:
        scores.write_text(f"def length(words, references): return {code}\n")
        read.cache_clear()
        checksum.cache_clear()
        return [trial.run for trial in planner(tmp_path, *rows).plan(1)]

    before = runs("len(words)")
    assert runs("len(words)  # of a caption") == before
    recoded, same = runs("-len(words)")
    assert (recoded == before[0], same == before[1]) == (False, True)
    network = make_network(FASTEST)
    torch.nn.init.zeros_(next(network.parameters()))
    save_weights(network, tmp_path)
    assert (runs("len(words)")[0], runs("-len(words)")[0]) == (before[0], recoded)
    assert runs("len(words)")[1] != before[1]


def coco(folder: Path) -> dict[str, object]:
    """The tiny world as a data set of files."""
    splits = ("train", "val", "test")
    return {
        "name": "shapes",
        "images": {each: str(folder / "images" / each) for each in splits},
        "annotations": {
            each: str(folder / "annotations" / f"captions_{each}.json") for each in splits
        },
    }


def test_a_row_that_starts_from_another_waits_for_the_run_of_the_same_seed(tmp_path: Path) -> None:
    rows = forced(), Row("sampled", SHORT, from_row="forced")
    trials = planner(tmp_path, *rows).plan(2)
    assert [trial.name for trial in trials] == [
        *("forced, seed 0", "sampled, seed 0"),
        *("forced, seed 1", "sampled, seed 1"),
    ]
    source, started = trials[2:]
    assert started.job
    assert started.job.needs == ("forced, seed 1",)
    assert f"--from_run {source.run.folder} --evaluate test" in command(started)
    (alone,) = planner(tmp_path, Row("sampled", SHORT)).plan(1)
    assert alone.run != trials[1].run


def test_a_row_whose_start_is_another_is_another_run(tmp_path: Path) -> None:
    sampled = Row("sampled", SHORT, from_row="forced")
    started, again, from_shorter = (
        planner(tmp_path, start, sampled).plan(1)[1].run
        for start in (forced(), forced(), forced("forced", *SHORT))
    )
    assert started == again != from_shorter


def test_what_is_done_is_taken_as_it_is_and_what_was_begun_goes_on(tmp_path: Path) -> None:
    rows = forced(), Row("sampled", SHORT, from_row="forced")
    plan = planner(tmp_path, *rows)
    trials = plan.plan(2)
    finish(trials[0], plan.code)
    finish(trials[2], "of other code", seconds=150.0)
    begin(trials[1].run)
    done, begun, stale, fresh = planner(tmp_path, *rows).plan(2)
    assert done.job is None
    assert begun.job
    assert (begun.job.doing, begun.job.needs) == ("go on", ())
    assert command(begun).endswith("--resume auto")
    assert stale.job
    assert stale.job.doing == "evaluate"
    assert f"captioning evaluate {stale.run.folder} --split test" in command(stale)
    assert fresh.job
    assert (fresh.job.doing, fresh.job.needs) == ("train", ())  # from a run that is finished
    assert command(fresh).endswith("--resume auto")  # it may be begun by others before its turn


def test_a_run_that_was_not_sampled_at_all_temperatures_is_evaluated_again(tmp_path: Path) -> None:
    (plain,) = planner(tmp_path, forced()).plan(1)
    plan = planner(tmp_path, forced(), temperatures=(0.5, 1))
    (trial,) = plan.plan(1)
    assert trial.run == plain.run
    finish(trial, plan.code)

    def left_to_do(temperatures: tuple[float | int, ...]) -> bool:
        return planner(tmp_path, forced(), temperatures=temperatures).plan(1)[0].job is not None

    assert [left_to_do(each) for each in ((), (0.5, 1))] == [False, True]
    sweep = trial.run.evaluation_folder("test", "temperatures") / "temperatures.json"
    sweep.parent.mkdir()
    points = [{"temperature": each} for each in (0, 0.5, 1)]
    sweep.write_text(json.dumps({"points": points, "code": plan.code}))
    assert [left_to_do(each) for each in ((1,), (0.5, 1), (0.7,))] == [False, False, True]
    sweep.write_text(json.dumps({"points": points, "code": "other"}))
    assert left_to_do((1,))
    assert "--temperatures 0.5,1" in command(
        planner(tmp_path, forced(), temperatures=(0.5, 1)).plan(1)[0]
    )


def test_a_run_that_lacks_a_wanted_metric_is_evaluated_again(tmp_path: Path) -> None:
    plan = planner(tmp_path, forced(), metrics=("Bleu", "CIDEr"))
    (trial,) = plan.plan(1)
    assert "--metrics Bleu,CIDEr" in command(trial)
    finish(trial, plan.code, 90.0, "Bleu_1,Bleu_4,CIDEr")
    wanted = ("Bleu",), ("CIDEr", "Bleu"), (), ("CIDEr", "METEOR")  # none stands for the usual
    trials = [planner(tmp_path, forced(), metrics=each).plan(1)[0] for each in wanted]
    assert [trial.job is None for trial in trials] == [True, True, False, False]
    assert f"evaluate {trial.run.folder} --split test" in command(trials[-1])
    assert "--metrics CIDEr,METEOR,Bleu" in command(trials[-1])  # and so keeps what others want
    assert "--metrics" not in command(planner(tmp_path, forced()).plan(2)[1])
    with pytest.raises(InputError, match="unknown metric 'BLEU'; choose among Bleu"):
        planner(tmp_path, forced(), metrics=("BLEU",))


def test_a_dry_run_says_how_long_runs_took_by_whichever_code(tmp_path: Path) -> None:
    rows = forced(), Row("sampled", SHORT)
    plan = planner(tmp_path, *rows)
    trials = plan.plan(2)
    jobs = [trial.job for trial in trials if trial.job]
    assert outline(trials, jobs, 2).endswith(
        "4 of 4 to do, 2 at a time: no earlier run tells how long"
    )
    code = plan.recipes["forced"].code
    earlier = Run(Path(str(trials[0].run.folder).replace(code, "0ther0ne")))
    finish(Trial("", rows[0], earlier, earlier.folder / "evaluations" / "x", None), "", 600.0)
    trials = planner(tmp_path, *rows).plan(2)
    jobs = [trial.job for trial in trials if trial.job]
    lines = outline(trials, jobs, 2).splitlines()
    folder = trials[0].run.folder
    assert lines[0] == f"forced, seed 0: train, 10.0 minutes  {folder}"
    assert lines[1] == f"sampled, seed 0: train               {trials[1].run.folder}"
    assert lines[-1] == (
        "4 of 4 to do, 2 at a time: about 10 minutes, and 2 of which no earlier run tells"
    )
    assert "4 at a time: about 10 minutes" in outline(trials, jobs, 16)
    told = planner(tmp_path, *rows, minutes=2.5)
    assert [trial.job and trial.job.seconds for trial in told.plan(1)] == [600.0, 150.0]
    assert told.told
    (like,) = planner(tmp_path, forced("wider", "--decoder.hidden_size", "24")).plan(1)
    assert like.job
    assert like.job.seconds == 600.0  # of the same data and objective


def test_jobs_that_need_one_another_take_their_time_whatever_room_there_is() -> None:
    first, second = (
        Job(name, "train", (), Path("log"), needs, 60.0)
        for name, needs in (("a", ()), ("b", ("a", "done before")))
    )
    assert longest([first, second]) == 120.0


def test_an_ensemble_waits_for_all_of_its_members_and_needs_two(tmp_path: Path) -> None:
    rows = forced(), Row("together", ensemble_of="forced")
    assert [trial.name for trial in planner(tmp_path, *rows).plan(1)] == ["forced, seed 0"]
    *members, together = planner(tmp_path, *rows).plan(12)
    assert together.job
    assert together.job.needs == tuple(f"forced, seed {seed}" for seed in range(12))
    assert json.dumps([str(each.run.folder) for each in members[1:]]) in together.job.command
    assert together.evaluation.name.startswith(f"test-greedy-with-{members[1].run.name}")
    assert len(together.evaluation.name) < 255


def test_two_rows_of_the_same_ensemble_share_its_job(tmp_path: Path) -> None:
    rows = forced(), Row("together", ensemble_of="forced"), Row("again", ensemble_of="forced")
    *_, together, again = planner(tmp_path, *rows).plan(2)
    assert (together.evaluation, together.job) == (again.evaluation, again.job)


def test_a_wrong_row_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tiny, row 'a': .*nearest valid key is 'patience'"):
        planner(tmp_path, Row("a", ("--patient", "1"))).plan(1)


def test_only_a_dry_plan_needs_no_weights(tmp_path: Path) -> None:
    encoder = {"class_path": "captioning.encoder.Backbone", "init_args": {"weights": "no.pth"}}
    plan = planner(tmp_path, forced("a", "--config", json.dumps({"encoder": encoder})))
    with pytest.raises(InputError, match=r"no\.pth"):
        plan.plan(1)
    plan.dry = True
    assert [trial.name for trial in plan.plan(1)] == ["a, seed 0"]
