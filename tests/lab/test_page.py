"""The laboratory's page and its drawings, with made-up numbers."""

import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioning.errors import InputError
from captioning.lab.claims import Claim
from captioning.lab.drawings import Contours, Frame, Series, contours, plot
from captioning.lab.page import verdict, write_page
from captioning.lab.section import Section
from captioning.report.html import Drawing
from captioning.report.style import DARK, LIGHT
from tests.lab.sections import make_adversarial, make_gradients, make_scheduled_sampling
from tests.support.web_page import Page

FACTS = {"Seeds": "3", "Size": "default"}


@pytest.fixture(scope="module")
def sections() -> list[Section]:
    return [make_scheduled_sampling(), make_adversarial(), make_gradients()]


@pytest.fixture(scope="module")
def folder(sections: list[Section], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("lab")
    write_page(made, sections, FACTS)
    return made


def colours(png: bytes) -> set[str]:
    """Those of the pixels, as a page writes them."""
    found = Image.open(io.BytesIO(png)).convert("RGB").getcolors(2**20)
    return {"#{:02x}{:02x}{:02x}".format(*colour) for _, colour in found}


def test_the_page_leads_with_the_claims(folder: Path) -> None:
    text = Page(folder / "lab.html").text
    assert text.index("11 of 12 claims hold") < text.index("Claim Expected Measured Holds")
    assert text.index("KL[P‖Q] Huszár 2015, section 1 ≤ 0.005") < text.index("No amount of data")


def test_a_claim_is_told_with_its_source_numbers_and_outcome_in_words(folder: Path) -> None:
    text = Page(folder / "lab.html").text
    assert "Teacher forcing finds the truth: KL[P‖Q] Huszár 2015, section 1" in text
    assert "≤ 0.005 0.0071 ± 0.0012 ✗ does not" in text
    assert "1.249 within 0.012 1.251 ± 0.004 ✓ holds" in text


def test_every_section_has_its_text_tables_and_drawings(folder: Path) -> None:
    page = Page(folder / "lab.html")
    assert "KL[P‖Q] in nats ε exact fixed point trained 0 1.057 1.061 ± 0.012" in page.text
    assert [words.split(".")[0] for words in page.alternatives] == [
        "Scheduled sampling learns the wrong answer",
        "From covering to seeking",
        "The divergence that is reached",
        "Variance of the policy gradient",
    ]


def test_the_page_needs_no_other_file_and_no_network(folder: Path) -> None:
    page = Page(folder / "lab.html")
    source = (folder / "lab.html").read_text()
    inside = [address for address in page.addresses if address.startswith("#")]
    assert all(f'id="{address[1:]}"' in source for address in inside)
    others = [address for address in page.addresses if address not in inside]
    assert len(others) == 8  # four drawings, light and dark
    assert all(address.startswith("data:image/png;base64,") for address in others)
    assert not any(outside in source for outside in ("url(", "@import", "://"))


def test_what_a_section_says_is_text_never_markup(tmp_path: Path) -> None:
    section = replace(make_gradients(), text="<script>alert(1)</script> & <b>")
    write_page(tmp_path, [section], FACTS)
    assert Page(tmp_path / "lab.html").tags.isdisjoint({"script", "b"})


def test_markdown_says_the_same_and_shows_drawings_that_are_there(folder: Path) -> None:
    text = (folder / "lab.md").read_text()
    assert "## 11 of 12 claims hold" in text
    assert "| ≤ 0.005 | 0.0071 ± 0.0012 | ✗ |" in text
    assert "| 0 | 1.057 | 1.061 ± 0.012 |" in text
    files = re.findall(r"^!\[.+\]\((.+)\)$", text, re.MULTILINE)
    assert len(files) == 4
    assert all((folder / file).read_bytes().startswith(b"\x89PNG") for file in files)


def test_claims_json_holds_every_claim_in_order(folder: Path, sections: list[Section]) -> None:
    claims = [claim.to_json() for section in sections for claim in section.claims]
    assert json.loads((folder / "claims.json").read_text()) == claims


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "lab.html").mkdir()
    with pytest.raises(InputError, match=r"lab\.html cannot be written .*another folder"):
        write_page(tmp_path, [make_gradients()], FACTS)


def test_the_verdict_counts_over_all_sections(sections: list[Section]) -> None:
    never = Claim("nothing", "nowhere", 0.0, math.nan)
    assert verdict([sections[0], replace(sections[2], claims=[never])]) == "5 of 7 claims hold"


def test_a_drawing_is_made_in_the_colours_of_both_pages() -> None:
    drawing = make_scheduled_sampling().drawings[0]
    for png, theme in ((drawing.light, LIGHT), (drawing.dark, DARK)):
        assert {theme.ground, *theme.curves[:2]} <= colours(png)
        assert theme.curves[2] not in colours(png)


def test_a_drawing_says_in_words_where_its_series_begin_and_end() -> None:
    words = make_scheduled_sampling().drawings[0].words
    assert "KL[P‖Q], nats, against truth share ε" in words
    assert "exact fixed point from 1.057 at 0 to 0 at 1" in words


def test_what_is_not_there_is_not_told_in_words() -> None:
    words = make_gradients().drawings[0].words
    assert "adversarial, π = 0.5, greedy caption: 0.9" in words
    assert "self-critical, greedy caption" not in words


@pytest.mark.parametrize("spread", [None, [None, None], [0.1, 0.2]])
def test_one_seed_several_seeds_and_exact_numbers_are_drawn(spread: list[float] | None) -> None:
    series = Series("any", (0.1, 0.9), (1.0, 2.0), spread, names=("low", "high"))
    drawing = plot("any", Frame("Any", "x", "y", "logit", "log"), [series])
    assert LIGHT.curves[0] in colours(drawing.light)


def test_contours_fill_the_truth_and_draw_lines_around_the_fit() -> None:
    axis = np.linspace(-3, 3, 61)
    squares = axis[:, None] ** 2 + axis**2
    panel = Contours(axis, axis, np.exp(-squares / 2), np.exp(-squares / 8))
    drawing = contours("any", "words", ["left", "right"], {"only": [panel, panel]})
    assert set(LIGHT.curves[:2]) <= colours(drawing.light)
    assert drawing.words == "words"


def test_the_size_of_a_drawing_is_read_from_its_file() -> None:
    png = io.BytesIO()
    Image.new("RGB", (30, 20)).save(png, "PNG")
    assert Drawing("any", png.getvalue(), b"", "").size == (30, 20)
