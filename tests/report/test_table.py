"""The table of several runs, its numbers worked by hand."""

from pathlib import Path

from captioning.report import summary_table
from captioning.report.table import columns, named_table, spread
from captioning.runs import Evaluation


def evaluation(
    run: str,
    cider: float,
    search: str = "greedy",
    split: str = "test",
    rows: dict[str, dict[str, float]] | None = None,
    **law: dict[str, float],
) -> Evaluation:
    return Evaluation(
        folder=Path("runs", run, "evaluations", f"{split}-{search}"),
        data=run.split("-", maxsplit=1)[0],
        split=split,
        search=search,
        signature="images:2|tokenizer:ptb",
        metrics={"CIDEr": cider},
        intervals={},
        rows=rows or {},
        diversity={},
        world=law.get("world", {}),
        samples=law.get("samples", {}),
        divergences=law.get("divergences", {}),
        js_by_prior={},
        images=2,
    )


def rows_of(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_spread_is_mean_and_sample_standard_deviation_times_100() -> None:
    # Deviations -2, 0, 2: squares sum to 8, over n - 1 = 2 gives 4, its root is 2.
    assert spread("CIDEr", [0.50, 0.52, 0.54]) == "52.0 ± 2.0"


def test_one_seed_has_no_spread_and_no_number_is_a_dash() -> None:
    assert spread("CIDEr", [1.234]) == "123.4"
    assert spread("CIDEr", []) == "–"


def test_runs_that_differ_in_their_seed_share_a_row() -> None:
    found = [
        evaluation("shapes-ss-seed0", 0.9),
        evaluation("shapes-ss-seed1", 1.0),
        evaluation("shapes-ss-seed10", 1.1),
    ]
    assert rows_of(summary_table(found)) == [
        ["shapes, test", "search", "CIDEr", "seeds"],
        ["---", "---", "--:", "--:"],
        ["shapes-ss", "greedy", "100.0 ± 10.0", "3"],
    ]


def test_searches_and_groups_keep_rows_of_their_own() -> None:
    found = [
        evaluation("shapes-tf-seed0", 0.5),
        evaluation("shapes-tf-seed0", 0.6, search="beam 5"),
        evaluation("shapes-ss-wide-seed0", 0.7),
    ]
    assert rows_of(summary_table(found))[2:] == [
        ["shapes-tf", "greedy", "50.0", "1"],
        ["shapes-tf", "beam 5", "60.0", "1"],
        ["shapes-ss-wide", "greedy", "70.0", "1"],
    ]


def test_rows_may_be_named_otherwise_than_their_runs() -> None:
    found = [
        ("baseline", evaluation("shapes-tf-12ab-seed0", 0.5)),
        ("baseline", evaluation("shapes-tf-12ab-seed1", 0.7)),
        ("ensemble", evaluation("shapes-tf-12ab-seed0", 0.8)),
    ]
    assert rows_of(named_table(found))[2:] == [
        ["baseline", "greedy", "60.0 ± 14.1", "2"],  # 0.5 and 0.7: sqrt(2 × 0.1²) = 0.141
        ["ensemble", "greedy", "80.0", "1"],
    ]


def test_each_data_set_and_split_has_a_table_of_its_own_with_its_signature() -> None:
    found = [
        evaluation("shapes-tf-seed0", 0.5),
        evaluation("flickr8k-tf-seed0", 0.3),
        evaluation("shapes-tf-seed0", 0.4, split="val"),
    ]
    table = summary_table(found)
    titles = [row[0] for row in rows_of(table) if row[1] == "search"]
    assert titles == ["shapes, test", "flickr8k, test", "shapes, val"]
    assert table.count("`images:2|tokenizer:ptb`") == 3


def test_human_and_baselines_stand_once_with_a_spread_only_where_runs_disagree() -> None:
    found = [
        evaluation(
            f"shapes-tf-seed{seed}",
            0.5,
            search,
            rows={"human": {"CIDEr": 0.8}, "nearest image": {"CIDEr": 0.2 + 0.02 * seed}},
        )
        for seed in (0, 1)
        for search in ("greedy", "beam 5")
    ]
    assert rows_of(summary_table(found))[4:] == [
        ["human", "", "80.0", ""],
        ["nearest image", "", "21.0 ± 1.4", ""],  # 0.2 and 0.22: sqrt(2 × 0.01²) = 0.0141
    ]


def test_the_share_of_true_captions_stands_last_and_other_verdicts_are_left_out() -> None:
    world = {"true": 0.975, "wrong_count": 0.025}
    table = rows_of(summary_table([evaluation("shapes-tf-seed0", 0.5, world=world)]))
    assert table[0] == ["shapes, test", "search", "CIDEr", "true captions, %", "seeds"]
    assert table[2] == ["shapes-tf", "greedy", "50.0", "97.5", "1"]


def test_divergences_are_told_in_nats_and_with_their_spread_but_not_all_of_them() -> None:
    found = [
        evaluation(
            f"shapes-tf-seed{seed}",
            0.5,
            samples={"true": 0.5},
            divergences={
                "forward_kl": 0.25 + 0.01 * seed,
                "forward_kl_per_word": 0.025,
                "reverse_kl": 6.0,
                "reverse_kl_error": 0.1,
                "outside": 0.14,
            },
        )
        for seed in (0, 1, 2)
    ]
    table = rows_of(summary_table(found))
    assert table[0][3:-1] == ["KL[P‖Q], nats", "KL[Q‖P_δ], nats", "Q outside P, %"]
    assert table[2][3:-1] == ["0.260 ± 0.010", "6.000 ± 0.000", "14.0 ± 0.0"]


def test_a_metric_that_one_repetition_lacks_is_a_dash() -> None:
    found = [
        evaluation("shapes-tf-seed0", 0.5, world={"true": 1.0}),
        evaluation("shapes-tf-seed1", 0.5),
    ]
    assert rows_of(summary_table(found))[2] == ["shapes-tf", "greedy", "50.0 ± 0.0", "–", "2"]


def test_columns_come_in_their_usual_order() -> None:
    assert columns([{"CIDEr": 1.0, "new": 1.0}, {"Bleu_4": 1.0}]) == ["Bleu_4", "CIDEr", "new"]


def test_a_name_cannot_break_the_table() -> None:
    assert "| a\\|b | greedy |" in summary_table([evaluation("a|b-seed0", 0.5)])
