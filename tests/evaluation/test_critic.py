"""The critic: what it is worth by hand, and that it finds a divergence that is known."""

import json
import math
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from captioning.__main__ import main
from captioning.batch import Captions
from captioning.decoder import ShowAndTell
from captioning.discriminator import Discriminator, RecurrentDiscriminator
from captioning.errors import InputError
from captioning.evaluation import critic
from captioning.evaluation.critic import Judged, Plan, Shown
from captioning.search import Sampling
from captioning.text import END, PAD, UNKNOWN
from tests.commands.test_refusals import adversarial
from tests.support.builders import VOCABULARY, make_batch, make_captioner, make_captions
from tests.support.tiny_run import config


class ByFirstWord(Discriminator):
    """Its logit is what it was told of a caption's first word."""

    def __init__(self, logits: dict[int, float]) -> None:
        super().__init__()
        self.logits = logits

    def forward(
        self, features: Tensor, captions: Captions, mixtures: Tensor | None = None
    ) -> Tensor:
        first = [self.logits[word] for word in captions.tokens[:, 0].tolist()]
        return captions.along(torch.tensor(first)[:, None]).squeeze(1)


def drawn(chance: float, images: int, each: int) -> Captions:
    """Captions of every image: one word, by this chance the first."""
    words = 5 - (torch.rand(images * each) < chance).int()
    rows = [[word, END] for word in words.tolist()]
    return make_captions(rows, [row // each for row in range(len(rows))])


def shown(p: float, q: float, batches: int, images: int = 50, each: int = 10) -> list[Shown]:
    return [
        Shown(torch.zeros(images, 1, 4), drawn(p, images, each), drawn(q, images, each))
        for _ in range(batches)
    ]


def trained(p: float, q: float) -> dict[str, tuple[float, float, float]]:
    torch.manual_seed(0)
    found = RecurrentDiscriminator(len(VOCABULARY), 4, hidden_size=8, embedding_size=8)
    critic.train(found, shown(p, q, 10), Plan(steps=150), torch.Generator().manual_seed(0))
    return critic.summarise(critic.judge_all(found, shown(p, q, 20)), seed=0)


def test_true_and_generated_captions_of_an_image_weigh_alike_however_many() -> None:
    real = make_captions([[4, END], [5, END], [6, END]], [0, 0, 1])
    generated = make_captions([[5, END], [4, END]], [0, 1])
    images = Shown(torch.zeros(2, 1, 4), real, generated)
    found = critic.judge(ByFirstWord({4: 1.0, 5: -2.0, 6: 0.0}), images)
    first = (
        (math.log1p(math.exp(-1)) + math.log1p(math.exp(2))) / 2 + math.log1p(math.exp(-2))
    ) / 2
    second = (math.log(2) + math.log1p(math.exp(1))) / 2
    assert found.cross_entropy.tolist() == pytest.approx([first, second])
    assert found.accuracy.tolist() == [(0.5 + 1) / 2, (0.5 + 0) / 2]  # a tie is half right


def test_an_image_without_true_captions_is_not_judged() -> None:
    real = make_captions([[4, END], [5, END]], [2, 0])
    generated = make_captions([[5, END], [5, END], [4, END]], [0, 1, 2])
    images = Shown(torch.zeros(3, 1, 4), real, generated)
    found = critic.judge(ByFirstWord({4: 1.0, 5: -1.0}), images)
    assert found.accuracy.tolist() == [(0 + 1) / 2, (1 + 0) / 2]
    assert found.cross_entropy.tolist() == pytest.approx([math.log1p(math.e) - 0.5] * 2)


def test_true_captions_that_a_captioner_cannot_say_are_not_shown() -> None:
    rows = [[4, END], [UNKNOWN, END], [5, UNKNOWN, END], [4, 5, END]]
    batch = make_batch(make_captions(rows, [0, 0, 1, 2]))
    generator = torch.Generator().manual_seed(0)
    found = critic.show(make_captioner(ShowAndTell), batch, Sampling(samples=2), generator)
    assert found.real.tokens.tolist() == [[4, 5, END], [4, END, PAD]]
    assert found.real.image_index.tolist() == [2, 0]
    assert found.generated.image_index.bincount().tolist() == [2, 2, 2]


def test_what_logits_are_above_the_log_ratio_is_taken_from_them() -> None:
    real, generated = make_captions([[4, END]], [0]), make_captions([[5, END]], [0])
    images = Shown(torch.zeros(1, 1, 4), real, generated)
    shifted = critic.judge(ByFirstWord({4: 3.0, 5: 1.0}), images, offset=2.0)
    assert shifted == critic.judge(ByFirstWord({4: 1.0, 5: -1.0}), images)


def test_a_critic_finds_how_far_two_laws_are_apart() -> None:
    p, q = 0.8, 0.3
    exact = sum(
        chance / 2 * math.log(2 * chance / (a + b))
        for a, b in ((p, q), (1 - p, 1 - q))
        for chance in (a, b)
    )
    found = trained(p, q)
    accuracy, low, high = found["accuracy"]
    assert low < 0.5 + (p - q) / 2 < high
    assert high - low < 0.02
    assert accuracy == pytest.approx(0.75, abs=0.01)
    assert found["jensen_shannon"][0] == pytest.approx(exact, abs=0.01)
    assert found["jensen_shannon"][1] < exact < found["jensen_shannon"][2] + 0.005


@pytest.mark.slow
def test_a_critic_finds_nothing_where_there_is_nothing() -> None:
    found = trained(0.6, 0.6)
    assert found["accuracy"][0] == pytest.approx(0.5, abs=0.02)
    assert found["jensen_shannon"][0] == pytest.approx(0, abs=0.005)


def test_a_critic_is_left_as_it_was_at_its_best() -> None:
    torch.manual_seed(0)
    few = shown(0.6, 0.5, 4, images=5, each=2)  # there is more to learn by heart than to know
    found = RecurrentDiscriminator(len(VOCABULARY), 4, hidden_size=8, embedding_size=8)
    before = critic.judge_all(found, few[:1]).cross_entropy.mean()
    plan = Plan(steps=120, held_back=0.25, learning_rate=0.3)
    critic.train(found, few, plan, torch.Generator().manual_seed(0))
    assert critic.judge_all(found, few[:1]).cross_entropy.mean() <= before


def test_an_interval_is_about_the_spread_of_means() -> None:
    torch.manual_seed(0)
    values = torch.rand(400, dtype=torch.float64)
    found = critic.summarise(
        Judged(torch.full((400,), math.log(2), dtype=torch.float64), values), seed=0
    )
    mean, low, high = found["accuracy"]
    assert mean == pytest.approx(values.mean().item())
    assert high - low == pytest.approx(2 * 1.96 * values.std().item() / 20, rel=0.1)
    assert found["jensen_shannon"] == pytest.approx((0, 0, 0), abs=1e-12)


@pytest.mark.parametrize("learning_rate", [0.0, -0.001, math.inf])
def test_a_critic_that_would_learn_nothing_is_refused(learning_rate: float) -> None:
    with pytest.raises(InputError, match="a learning_rate above 0, got"):
        Plan(learning_rate=learning_rate)


@pytest.mark.parametrize("plan", [{"steps": 0}, {"patience": 0}, {"held_back": 1.0}], ids=str)
def test_a_plan_that_trains_nothing_is_refused(plan: dict[str, float]) -> None:
    with pytest.raises(InputError, match="a critic needs steps and patience"):
        Plan(**plan)  # type: ignore[arg-type]


def test_a_single_batch_is_too_little() -> None:
    found = RecurrentDiscriminator(len(VOCABULARY), 4, hidden_size=8, embedding_size=8)
    with pytest.raises(InputError, match="two batches or more, got 1"):
        critic.train(found, shown(0.5, 0.5, 1), Plan(), torch.Generator())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adversarial run, hardly begun."""
    path = config(tmp_path_factory.mktemp("criticised"))
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | adversarial(warm_up=3)))
    assert main(["train", "--config", str(path)]) == 0
    return path.parent / "runs" / "shapes-adversarial-seed0"


SMALL = ["--train_on", "train", "--discriminator.hidden_size", "8", "--plan.steps", "20"]
OWN = ["--own"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [SMALL, OWN], ids=["fresh", "own"])
def test_a_run_is_criticised_beside_what_is_exact(
    options: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["critic", str(run), *options, "--format", "json"]
    capsys.readouterr()
    assert main(command) == 0
    first = capsys.readouterr().out
    assert main(command) == 0
    assert capsys.readouterr().out == first
    found = json.loads(first)
    assert (
        found["critic"]
        == f"RecurrentDiscriminator, {'the own' if options == OWN else 'trained on train'}"
    )
    assert (found["images"], found["split"], found["search"]) == (
        8,
        "test",
        "sampling t=1 samples=5",
    )
    assert 0.5 < found["exact"]["accuracy"] <= 1
    assert 0 < found["exact"]["jensen_shannon"] <= math.log(2)
    for name in ("accuracy", "jensen_shannon"):
        interval = found["intervals"][name]
        assert interval["low"] <= found["metrics"][name] <= interval["high"]


@pytest.mark.slow
def test_images_that_cannot_be_opened_may_be_left_out(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((run.parents[1] / "shapes" / "images" / "test").iterdir())
    whole = image.read_bytes()
    image.write_bytes(b"damaged")
    command = ["critic", str(run), *SMALL, "--format", "json"]
    capsys.readouterr()
    assert main(command) == 2
    assert "(--on_bad_image skip, in training" in capsys.readouterr().err
    assert main([*command, "--on_bad_image", "skip"]) == 0
    image.write_bytes(whole)
    assert json.loads(capsys.readouterr().out)["images"] == 7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "-1"], "--seed: expected 0 or more, got -1"),
        (["--train_on", "test"], "--train_on and --test_on are both 'test'"),
        (["--train_on", "tset"], "no split 'tset'"),
        ([*OWN, "--plan.steps", "20"], "to which --plan does not apply"),
        ([*OWN, "--discriminator.hidden_size", "8"], "to which --discriminator does not apply"),
        ([*OWN, "--train_on", "train"], "to which --train_on does not apply"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(
    options: list[str], words: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["critic", str(run), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.slow
def test_what_is_exact_is_known_of_the_captioners_own_law_alone(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for search, its_own in (
        (["Greedy"], False),
        (["Sampling", "--search.steps", "3"], False),  # cuts captions off
        (["Sampling", "--search.temperature", "0.5"], False),
        (["Sampling", "--search.samples", "2"], True),
    ):
        assert main(["critic", str(run), *SMALL, "--search", *search]) == 0
        printed = capsys.readouterr().out
        assert "8 images, judged by" in printed
        assert ("exactly" in printed) == its_own


@pytest.mark.slow
def test_a_run_without_a_discriminator_has_none_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--config", str(config(tmp_path)), "--trainer.max_epochs", "1"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert main(["critic", str(folder), "--own"]) == 2
    assert "has no discriminator of its own" in capsys.readouterr().err
