"""The page of a comparison: complete, safe and readable without a script."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from captioning.comparison.compared import Compared
from captioning.comparison.page import Comparison, compare, write_page
from captioning.errors import InputError
from captioning.provenance import provenance
from tests.comparison.tiny_comparison import compared, published
from tests.support.web_page import Page

HOSTILE = ("</script><img src=x onerror=alert(1)>", "\"quoted\" & 'so'", "a <b>bold</b> bird")
SCORES = [1.0, 2.0, 3.0]


def page(folder: Path, *rows: Compared, images: int = 10) -> Page:
    write_page(folder / "page", compare("tiny on tiny", rows, {}, images))
    return Page(folder / "page" / "report.html")


def test_the_page_shows_every_row_and_needs_no_other_file(tmp_path: Path) -> None:
    base = replace(compared(tmp_path, "base", [SCORES]), published=published(CIDEr=89.5))
    seen = page(tmp_path, base, compared(tmp_path, "above", [[4.0, 4.0, 4.0]]))
    assert all(address.startswith("data:image/") for address in seen.addresses)
    for words in ("base", "above", "89.5", "[1] A paper, table 1; recalled.", "images:3"):
        assert words in seen.text
    assert "One seed a row: the variation between training runs is unknown." in seen.text
    assert len(seen.cards) == 3
    assert " ".join(seen.cards[1]).startswith("● base a blue cat 200.0 ■ above a blue cat 400.0")


def test_captions_names_and_reasons_cannot_become_markup(tmp_path: Path) -> None:
    row = compared(tmp_path, "base", [SCORES], said=HOSTILE)
    named = replace(row, name="<i>base</i>", failures=("<u>why</u>",))
    lost = Compared("lost", None, failures=("</script><s>",))
    seen = page(tmp_path, named, lost)
    assert not {"b", "i", "u", "s"} & seen.tags
    assert all(address.startswith("data:image/") for address in seen.addresses)
    content = (tmp_path / "page" / "report.html").read_text()
    assert content.count("</script>") == 2
    data = re.search(r'id="images-data">(.*?)</script>', content)
    assert data
    known = json.loads(data[1])
    assert [image["said"][0][0] for image in known["images"]] == list(HOSTILE)


def test_no_script_runs_but_the_pages_own(tmp_path: Path) -> None:
    page(tmp_path, compared(tmp_path, "base", [SCORES]))
    content = (tmp_path / "page" / "report.html").read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", content, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', content)
    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
    ]


def test_the_page_says_by_which_code_it_was_made(tmp_path: Path) -> None:
    seen = page(tmp_path, compared(tmp_path, "base", [SCORES]))
    for name, fact in provenance().items():
        assert f"{name} {fact}" in seen.text
    assert "Code of the numbers unknown" in seen.text  # older evaluations do not say


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    row = compared(tmp_path, "base", [SCORES])
    (tmp_path / "2.png").unlink()
    seen = page(tmp_path, row)
    assert seen.cards[1][0] == f"missing or damaged: {tmp_path / '2.png'}"
    assert "1 of them could not be opened" in seen.text


def test_fewer_images_are_drawn_and_numbers_stay_those_of_all(tmp_path: Path) -> None:
    rows = compared(tmp_path, "base", [SCORES])
    seen = page(tmp_path, rows, images=2)
    assert len(seen.cards) == 2
    assert "2 of the 3 images, drawn at random" in seen.text
    assert "200.0" in seen.text
    assert page(tmp_path, rows, images=0).cards == []


def test_a_failed_row_is_said_with_its_reason(tmp_path: Path) -> None:
    base = compared(tmp_path, "base", [SCORES, SCORES])
    partly = replace(base, failures=("base, seed 2: killed",))
    lost = Compared("lost", "base", failures=("lost, seed 0: failed: no memory",))
    seen = page(tmp_path, partly, lost)
    assert "lost lost, seed 0: failed: no memory" in seen.text
    assert "base: base, seed 2: killed" in seen.text
    with pytest.raises(InputError, match="no row was evaluated, so there is nothing to show"):
        compare("x", [lost], {})


def test_the_markdown_page_holds_the_tables_and_shows_its_drawings(tmp_path: Path) -> None:
    varied = {"captioner": {"self_bleu_4": 0.5}}
    row = compared(tmp_path, "base", [SCORES], diversity=varied)  # type: ignore[arg-type]
    page(tmp_path, row)
    text = (tmp_path / "page" / "report.md").read_text()
    assert "| base | 25.0 | 200.0 | 1 |" in text
    (name,) = re.findall(r"!\[.*\]\((.*)\)", text)
    assert (tmp_path / "page" / name).read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    found: Comparison = compare("x", [compared(tmp_path, "base", [SCORES])], {})
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match=r"taken.* cannot be written"):
        write_page(tmp_path / "taken", found)
