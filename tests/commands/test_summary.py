"""An evaluation as it is told on a terminal."""

from captioning.commands.summary import text, true_law
from captioning.evaluation.law import Divergences
from captioning.evaluation.temperatures import Point

VARIED = {"self_bleu_4": 0.5, "words": 12.0, "length": 9.74}
SUMMARY = {
    "data": "mine",
    "split": "val",
    "search": "greedy",
    "images": 3,
    "metrics": {"CIDEr": 0.5, "distinct": 1.0},
    "intervals": {"CIDEr": {"low": 0.4, "high": 0.625}},
    "rows": {"human": {"CIDEr": 1.25, "distinct": 1 / 3}},
    "diversity": {"captioner": VARIED, "human": {**VARIED, "self_bleu_4": 0.25}},
    "world": {},
    "samples": {},
    "divergences": {},
    "left out": {"SPICE": "no parser"},
    "signature": "images:3",
}


def test_metrics_and_diversity_are_two_small_tables() -> None:
    assert text(SUMMARY).splitlines() == [
        "mine val, greedy, 3 images, × 100",
        "            CIDEr  distinct",
        "captioner    50.0     100.0",
        "  95% from   40.0",
        "  to         62.5",
        "human       125.0      33.3",
        "",
        "           SelfBLEU  words  length",
        "captioner      50.0     12     9.7",
        "human          25.0     12     9.7",
        "",
        "left out: no parser",
        "images:3",
    ]


def test_what_only_the_captioner_has_is_no_number_of_the_others() -> None:
    told = text(SUMMARY | {"metrics": {"CIDEr": 0.5, "RefCLIPScore": 0.7}}).splitlines()
    assert told[1:6] == [
        "            CIDEr  RefCLIPS  distinct",
        "captioner    50.0      70.0",
        "  95% from   40.0",
        "  to         62.5",
        "human       125.0                33.3",
    ]


def test_the_curve_over_temperatures_begins_with_the_greedy_captions() -> None:
    points = [Point(0.0, 0.9, 0.3, 0.5, 0.8, 1.0), Point(0.75, 0.6, 0.25, 0.75, 0.5, 0.25)]
    told = text(SUMMARY, points).splitlines()
    place = next(number for number, line in enumerate(told) if line.startswith("greedy"))
    assert told[place - 1 : place + 2] == [
        "        CIDEr  Bleu_4  distinct  SelfBLEU  mBLEU",
        "greedy   90.0    30.0      50.0      80.0  100.0",
        "t=0.75   60.0    25.0      75.0      50.0   25.0",
    ]


def test_what_the_true_law_tells_is_four_lines_or_none() -> None:
    divergences = Divergences(
        0.2577, 0.0235, 5.947, 0.135, 0.14, 0.0712, 0.2, 8.123, 9.5, {}
    )._asdict()
    summary = {
        "world": {"true": 0.9, "wrong_count": 0.1},
        "samples": {"true": 0.86, "wrong_count": 0.14},
        "divergences": divergences,
    }
    nats = "KL[P‖Q] 0.258 nats per caption, 0.024 per word; KL[Q‖P_δ] 5.95 ± 0.14"
    assert true_law(summary) == [
        "captions: true 90.0%, wrong count 10.0%",
        "samples: true 86.0%, wrong count 14.0%",
        f"{nats}; 14.0% of Q outside P; JS 0.071",
        "entropy of Q 8.12 nats, of P 9.50",
    ]
    assert true_law({name: {} for name in summary}) == []
