"""The gallery in a browser: it opens, sorts, filters and complains of nothing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from captioning.comparison.page import compare, write_page
from captioning.shapes.scene import Group, Kind, Scene
from tests.comparison.tiny_comparison import compared
from tests.support.browser import look, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not program(), reason="no Chromium: apt-get install chromium"),
]

# Plays a person who chooses in the page's form, and then notes what is shown.
PERSON = """<!doctype html><title>person</title><iframe src="report.html"></iframe><p id="said"></p>
<script>onload = () => {
  const page = document.querySelector("iframe").contentWindow;
  const form = page.document.getElementById("choose");
  form.elements.sort.value = "best";
  form.elements.row.value = "1";
  form.elements.row.dispatchEvent(new Event("input", { bubbles: true }));
  const cards = [...page.document.querySelectorAll("#cards .caption")];
  const order = cards.map((each) => each.textContent).join("; ");
  document.getElementById("said").textContent = `${page.location.hash} ${order}`;
};</script>"""

# Sorts and filters, goes on to the end of all images, and once back; notes what was shown.
READER = """<!doctype html><title>reader</title><iframe src="report.html"></iframe><p id="said"></p>
<script>onload = () => {
  const page = document.querySelector("iframe").contentWindow.document;
  const [cards, more, back] = ["cards", "more", "back"].map((id) => page.getElementById(id));
  const form = page.getElementById("choose");
  const choose = (name, value) => {
    form.elements[name].value = value;
    form.dispatchEvent(new Event("input", { bubbles: true }));
    return `${cards.querySelector(".caption").textContent}, ${page.getElementById("count").value}`;
  };
  const chosen = [choose("sort", "best"), choose("text", "image 12"), choose("text", "")];
  const seen = new Set();
  let most = 0;
  const look = () => {
    most = Math.max(most, cards.childElementCount);
    cards.querySelectorAll("article").forEach((card) => {
      seen.add(card.querySelector(".caption").textContent);
    });
  };
  for (look(); !more.hidden; look()) more.click();
  const last = cards.lastElementChild.querySelector(".caption").textContent;
  back.click();
  const earlier = cards.querySelector(".caption").textContent;
  const pictures = [...cards.querySelectorAll("img")].filter((each) => each.src).length;
  const told = [`${seen.size} seen`, `${most} at most`, last, earlier, `${pictures} pictures`];
  document.getElementById("said").textContent = [...chosen, ...told].join("; ");
};</script>"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Images 1, 2 and 3: "base" scores 1, 2, 3 and "a & b" 5, 2, 1."""
    said = ("one", "two <img src=x onerror=alert(1)>", "three")
    rows = (
        compared(tmp_path, "base", [[1.0, 2.0, 3.0]], said),
        replace(compared(tmp_path, "other", [[5.0, 2.0, 1.0]]), name="a & b"),
    )
    return write_page(tmp_path, compare("tiny", rows, {}))


def shown(page: Path, fragment: str = "") -> list[str]:
    """What the first row says, card by card."""
    seen = look(f"{page.as_uri()}#{fragment}", page.parent)
    assert seen.complaints == []
    (cards,) = re.findall(r'<div id="cards">(.*?)<button', seen.content, re.DOTALL)
    return [
        re.findall(r'class="caption">(.*?)</span>', card)[0].split(" ")[0]
        for card in cards.split("<article>")[1:]
    ]


def test_the_page_opens_in_the_order_of_the_split(page: Path) -> None:
    assert shown(page) == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("sort=best", ["three", "two", "one"]),
        ("sort=best&row=a+%26+b", ["one", "two", "three"]),
        ("sort=gap", ["one", "three", "two"]),  # 4, 0 and 2 apart
        ("text=BLUE", ["two"]),  # in what the other row says, and in a reference
        ("better=a+%26+b&than=base", ["one"]),
        ("better=base", ["three"]),  # than every other row
        ("sort=nonsense&row=gone", ["one", "two", "three"]),
    ],
)
def test_an_address_says_what_is_shown(page: Path, fragment: str, expected: list[str]) -> None:
    assert shown(page, fragment) == expected


def test_what_a_person_chooses_is_shown_and_stands_in_the_address(page: Path) -> None:
    person = page.with_name("person.html")
    person.write_text(PERSON)
    seen = look(person.as_uri(), page.parent)
    assert seen.complaints == []
    (said,) = re.findall(r'<p id="said">(.*?)</p>', seen.content)
    assert said.startswith("#sort=best&amp;row=a+%26+b one; a red dog; two &lt;img")


def test_more_images_than_fit_come_as_one_goes_on(tmp_path: Path) -> None:
    numbers = [float(each) for each in range(60)]
    row = compared(tmp_path, "base", [numbers], [f"image{each:.0f}" for each in numbers])
    page = write_page(tmp_path, compare("tiny", [row], {}))
    first = shown(page, "sort=best")
    assert 24 <= len(first) < 60
    assert first == [f"image{59 - place}" for place in range(len(first))]


def test_five_thousand_images_can_be_sorted_filtered_and_read_to_the_end(tmp_path: Path) -> None:
    numbers = [float(each) for each in range(5000)]
    said = [f"image {each:.0f}" for each in numbers]
    rows = [compared(tmp_path, name, [numbers], said) for name in ("base", "second", "third")]
    comparison = compare("large", rows, {}, images=5000)
    page = write_page(tmp_path, comparison)
    without = write_page(tmp_path / "without", comparison._replace(gallery=[]))
    told = re.search(r"All 5,000 images,\s+([\d.]+) MB of this page", page.read_text())
    assert told
    added = page.stat().st_size - without.stat().st_size
    assert float(told[1]) == pytest.approx(added / 1e6, abs=0.1)
    reader = page.with_name("reader.html")
    reader.write_text(READER)
    seen = look(reader.as_uri(), page.parent)
    assert seen.complaints == []
    (found,) = re.findall(r'<p id="said">(.*?)</p>', seen.content, re.DOTALL)
    assert found.split("; ") == [
        "image 4999, 5,000 images",
        "image 1299, 111 of 5,000 images",  # 12, 120 to 129, 1200 to 1299
        "image 4999, 5,000 images",
        "5000 seen",
        "240 at most",
        "image 0",
        "image 439",  # the 240 before the last 200
        "24 pictures",
    ]


def test_false_captions_are_found_where_the_true_law_is_known(tmp_path: Path) -> None:
    said = ("a red ring is at the top", "words words", "a red square is at the top")
    row = compared(tmp_path, "base", [[1.0, 1.0, 1.0]], said)
    scene = Scene((Group(1, Kind("small", "red", "ring"), "top"),))
    page = write_page(tmp_path, compare("tiny", [row], dict.fromkeys((1, 2, 3), scene)))
    assert shown(page, "fault=any") == ["words", "a"]
    assert shown(page, "fault=base&text=square") == ["a"]
