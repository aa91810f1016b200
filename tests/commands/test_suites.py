"""Suite files: what their rows come to, and what is refused."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from captioning.commands.suites import Published, Row, read_suite
from captioning.commands.train import make_parser
from captioning.errors import InputError

ROOT = Path(__file__).parents[2]
CONTENT: dict[str, Any] = {
    "configs": ["small.yaml"],
    "baseline": "forced",
    "rows": {
        "forced": {
            "configs": ["forced.yaml"],
            "published": {
                "source": "a paper",
                "sure": "recalled",
                "numbers": {"CIDEr": 89.5},
                "data": "coco",
            },
        },
        "game": {"from_row": "forced", "options": {"seed_of": 1}},
        "all": {"ensemble_of": "forced"},
    },
}
PAPER = Published("a paper", "recalled", {"CIDEr": 89.5}, "coco")
SMALL, FORCED = ("--config", "small.yaml"), ("--config", "forced.yaml")


def read(folder: Path, content: object) -> tuple[Row, ...]:
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return read_suite(path).rows


def test_a_row_adds_its_own_to_what_all_rows_have(tmp_path: Path) -> None:
    assert read(tmp_path, CONTENT) == (
        Row("forced", SMALL + FORCED, published=PAPER),
        Row("game", (*SMALL, "--config", '{"seed_of": 1}'), "forced", baseline="forced"),
        Row("all", SMALL, ensemble_of="forced", baseline="forced"),
    )


def test_every_row_comes_in_every_variant_and_names_rows_of_its_own(tmp_path: Path) -> None:
    variants = {"plain": {}, "wide": {"configs": ["wide.yaml"]}}
    rows = read(tmp_path, CONTENT | {"variants": variants})
    assert [row.name for row in rows[:3]] == ["forced, plain", "game, plain", "all, plain"]
    forced, game, together = rows[3:]
    assert forced.name == "forced, wide"
    assert forced.options == (*SMALL, "--config", "wide.yaml", *FORCED)
    assert (forced.baseline, game.baseline) == (None, "forced, wide")
    assert (game.from_row, together.ensemble_of) == ("forced, wide", "forced, wide")


def test_a_suite_s_minutes_are_whole_or_not(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    content = CONTENT | {"minutes": {"shapes": 4.4, "flickr8k": 22}}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    assert read_suite(path).minutes == {"shapes": 4.4, "flickr8k": 22.0}


def test_a_variant_has_published_numbers_of_its_own(tmp_path: Path) -> None:
    own = CONTENT["rows"]["forced"]["published"] | {"numbers": {"CIDEr": 99.0}}
    variants = {"plain": {}, "wide": {"published": {"forced": own}}}
    rows = read(tmp_path, CONTENT | {"variants": variants})
    numbers = [dict(row.published.numbers) if row.published else None for row in rows]
    assert numbers == [{"CIDEr": 89.5}, None, None, {"CIDEr": 99.0}, None, None]


def put(*path: str) -> Callable[[dict[str, Any], Any], None]:
    """What sets a value deep in a mapping."""

    def change(content: dict[str, Any], value: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "value", "told"),
    [
        (put("row"), {}, "suite.yaml: no key 'row'; the nearest valid key is 'rows'"),
        (put("rows"), {}, "expected rows, by name, under the key 'rows', got none"),
        (put("rows"), [1], "expected rows to be dict, got [1]"),
        (put("rows", "game"), 3, "suite.yaml, row 'game': expected a mapping, got 3"),
        (put("rows", "game", "config"), "x", "'game': no key 'config'; the nearest valid key is"),
        (put("rows", "game", "configs"), "x", "'game': expected configs to be list, got 'x'"),
        (
            put("rows", "game", "from_row"),
            "all",
            "must name a row above it that is trained, one of",
        ),
        (put("rows", "forced", "from_row"), "game", "one of [], got 'game'"),
        (put("rows", "all", "options"), {"a": 1}, "'all': an ensemble is not trained"),
        (put("rows", "forced", "published"), {"source": "x"}, "numbers and data are also required"),
        (
            put("rows", "forced", "published", "numbers"),
            {"CIDer": 89.5},
            "'forced', published, numbers: no key 'CIDer'; the nearest valid key is 'CIDEr'",
        ),
        (
            put("rows", "forced", "published", "numbers"),
            {"CIDEr": "89,5"},
            "'forced', published: expected numbers.CIDEr to be a number, got '89,5'",
        ),
        (put("variants"), {"x": {"published": {"gam": {}}}}, "the nearest valid key is 'game'"),
        (put("rows", "game", "options"), {"seed": 1}, "seed cannot be given here: the plan"),
        (put("evaluate"), {"splits": "val"}, "evaluate: no key 'splits'; the nearest valid key is"),
        (
            put("evaluate"),
            {"temperatures": ["x"]},
            "evaluate: temperatures are numbers, got ['x']",
        ),
        (
            put("minutes"),
            {"shapes": "few"},
            "minutes are numbers by data set, got {'shapes': 'few'}",
        ),
        (put("baseline"), "b", "the baseline must be one of ['forced', 'game', 'all'], got 'b'"),
        (put("seeds"), 0, "seeds: expected 1 or more, got 0"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    tmp_path: Path, change: Callable[[dict[str, Any], Any], None], value: Any, told: str
) -> None:
    content = deepcopy(CONTENT)
    change(content, value)
    with pytest.raises(InputError) as refused:
        read(tmp_path, content)
    assert told in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs" / "suites").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_row_of_every_suite_parses(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    parser = make_parser()
    for row in read_suite(path).rows:
        for data in ("shapes", "flickr8k", "coco"):
            if not row.ensemble_of:
                parser.read(["--config", f"configs/data/{data}.yaml", *row.options])
