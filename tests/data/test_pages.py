"""The pages in data/: what they show can be built, and is what `captioning prepare` puts there."""

import re
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from captioning.data import Dataset, Manifest
from captioning.data.sources import PUBLISHED
from captioning.doctor import PHOTOGRAPHS

PAGES = Path(__file__).parents[2] / "data"


def shown(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def build(block: str) -> Dataset:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=Dataset)
    return parser.instantiate(parser.parse_object({"data": yaml.safe_load(block)})).data


SHOWN = [
    pytest.param(page, block, id=f"{page.stem}-{index}")
    for page in sorted(PAGES.glob("*.md"))
    for index, block in enumerate(shown(page, "yaml"))
]


@pytest.mark.parametrize(("page", "block"), SHOWN)
def test_a_shown_configuration_can_be_built_and_bears_the_name_of_its_page(
    page: Path, block: str
) -> None:
    first, *_ = build(block).name.split("-")  # as in coco-2017
    assert first == {"own": "mine"}.get(page.stem, page.stem)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_prepared_lies_where_its_page_says(name: str) -> None:
    page = PAGES / f"{name}.md"
    published = PUBLISHED[name]
    assert published.reader(Path(name)) == build(shown(page, "yaml")[0])
    text = page.read_text(encoding="utf-8")
    assert f"captioning prepare {name}" in text
    for archive in published.archives:
        assert archive.file in text
        assert archive.page in text
        if archive.remote is not None:
            assert archive.remote.address in text
            assert archive.remote.checksum.partition(":")[2] in text


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_doctor_looks_for_what_is_prepared(name: str) -> None:
    places = {part.place for archive in PUBLISHED[name].archives for part in archive.parts}
    assert set(PHOTOGRAPHS[name]) <= places


def test_every_set_has_a_page_with_a_configuration_and_a_row_in_the_overview() -> None:
    overview = (PAGES / "README.md").read_text()
    described = {param.values[0].name for param in SHOWN}
    assert described == {page.name for page in PAGES.glob("*.md")} - {"README.md"}
    assert all(f"({name})" in overview for name in described)


@pytest.mark.parametrize(("language", "suffix"), [("csv", "csv"), ("json", "jsonl")])
def test_the_shown_manifests_read_as_they_are_described(
    tmp_path: Path, language: str, suffix: str
) -> None:
    path = tmp_path / f"manifest.{suffix}"
    path.write_text(shown(PAGES / "own.md", language)[0], encoding="utf-8")
    dataset = Manifest("mine", str(path))
    assert dataset.examples("train")[0].captions == (
        "Một con chó chạy trên bãi biển.",
        "A brown dog, running.",
    )
    assert dataset.examples("val")[0].image == tmp_path / "photos/street.png"
