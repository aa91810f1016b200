"""Where the attention decoder looks, as the page shows it."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from captioning.captioner import Captioner
from captioning.comparison.attention_maps import attention_maps, follow, glances, shaded
from captioning.comparison.compared import Compared, read_images
from captioning.comparison.page import compare, write_page
from captioning.decoder import Lrcn, ShowAttendTell
from tests.comparison.tiny_comparison import compared
from tests.support.builders import make_captioner, make_features
from tests.support.web_page import Page


def attentive() -> Captioner:
    return make_captioner(ShowAttendTell).float()


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))


def leave(captioner: Captioner, row: Compared) -> None:
    """Leave a checkpoint and a configuration in a row's first run."""
    weights = {f"captioner.{name}": value for name, value in captioner.state_dict().items()}
    file = row.runs[0].checkpoint("last")
    file.parent.mkdir()
    torch.save({"captioner": captioner.description(), "state_dict": weights}, file)
    path = f"captioning.decoder.{type(captioner.decoder).__name__}"  # as a run's config has it
    row.runs[0].config_file.write_text(f"result: last\ndecoder: {{class_path: {path}}}\n")


def test_each_word_has_a_map_that_follows_from_words_fed_before_the_look() -> None:
    captioner = attentive()
    features = make_features(images=1).float()
    maps, last, first = (follow(captioner, features, t) for t in ([4, 5, 6], [4, 5, 9], [7, 5, 6]))
    assert [weights.sum().item() for weights in maps] == pytest.approx([1.0, 1.0, 1.0])
    assert all(torch.equal(one, other) for one, other in zip(maps, last, strict=True))
    # The second word is looked for before the first is fed (Xu et al. 2015, eq. 4: by h of t - 1).
    assert all(torch.equal(one, other) for one, other in zip(maps[:2], first[:2], strict=True))
    assert not torch.equal(maps[2], first[2])
    assert follow(captioner, features, []) == []


def test_what_is_looked_at_stays_bright_and_the_rest_is_dark() -> None:
    white = torch.ones(3, 64, 64)
    seen = opened(shaded(white, torch.tensor([1.0, 0.0, 0.0, 0.0]))).convert("L")
    assert seen.size == (128, 128)
    assert seen.getpixel((4, 4)) == pytest.approx(255, abs=4)
    assert seen.getpixel((123, 123)) == pytest.approx(0.3 * 255, abs=4)
    even = opened(shaded(white, torch.full((4,), 0.25))).convert("L")
    assert even.getextrema()[0] >= 253


def test_a_caption_is_said_again_word_by_word() -> None:
    found = glances(attentive(), Image.new("RGB", (40, 30), "red"), "cat dog unheard")
    assert [glance.word for glance in found] == ["cat", "dog", "<unknown>"]
    assert glances(attentive(), Image.new("RGB", (40, 30)), "") == []


def test_every_row_that_attends_is_followed_on_the_same_images(tmp_path: Path) -> None:
    names = ("base", "one", "two")
    base, one, two = rows = [compared(tmp_path, n, [[1.0, 2.0]], ["ant bee"]) for n in names]
    leave(make_captioner(Lrcn).float(), base)
    images = read_images(rows)
    assert attention_maps(rows, images) == []  # the others' configurations say nothing
    leave(attentive(), one)
    leave(attentive(), two)
    found = attention_maps(rows, images)
    words = [
        {place: [glance.word for glance in row] for place, row in looks.rows.items()}
        for looks in found
    ]
    assert words == [{1: ["ant", "bee"], 2: ["ant", "bee"]}] * 2
    assert [looks.reference for looks in found] == ["a red dog", "a blue cat"]
    assert found[0].size > 5 * 100  # an image, and four maps of it


def test_what_cannot_be_shown_is_left_out(tmp_path: Path) -> None:
    one, two = rows = [compared(tmp_path, name, [[1.0, 2.0]]) for name in ("one", "two")]
    for row in rows:
        leave(attentive(), row)
    images = read_images(rows)
    (tmp_path / "1.png").unlink()
    (looks,) = attention_maps(rows, images)
    assert (looks.reference, list(looks.rows)) == ("a blue cat", [0, 1])
    one.runs[0].checkpoint().unlink()
    (looks,) = attention_maps(rows, images)
    assert list(looks.rows) == [1]
    assert attention_maps([one, replace(two, runs=())], images) == []  # such as an ensemble
    (tmp_path / "2.png").unlink()
    assert attention_maps(rows, images) == []


def test_the_page_shows_the_maps_of_every_row_with_its_name(tmp_path: Path) -> None:
    rows = [compared(tmp_path, name, [[1.0, 2.0]], ["ant bee"]) for name in ("one", "two")]
    for row in rows:
        leave(attentive(), row)
    write_page(tmp_path / "page", compare("tiny", rows, {}))
    seen = Page(tmp_path / "page" / "report.html")
    assert "● one ant bee ■ two ant bee" in seen.text
    assert "2 images, the first of the split" in seen.text
