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
from captioning.decoder import Lrcn, ShowAttendTell
from tests.comparison.tiny_comparison import compared
from tests.support.builders import make_captioner, make_features


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
    name = type(captioner.decoder).__name__
    path = f"{type(captioner.decoder).__module__}.{name}"
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


def test_a_caption_is_said_again_word_by_word_after_the_image_itself() -> None:
    found = glances(attentive(), Image.new("RGB", (40, 30), "red"), "cat dog unheard")
    assert [glance.word for glance in found] == ["", "cat", "dog", "<unknown>"]
    assert [glance.word for glance in glances(attentive(), Image.new("RGB", (40, 30)), "")] == [""]


def test_the_first_row_that_attends_is_followed(tmp_path: Path) -> None:
    base, other = (compared(tmp_path, name, [[1.0, 2.0]], ["ant bee"]) for name in ("base", "o"))
    leave(make_captioner(Lrcn).float(), base)
    images = read_images([base, other])
    assert attention_maps([base, other], images) is None  # the other's configuration says nothing
    leave(attentive(), other)
    found = attention_maps([base, other], images)
    assert found is not None
    assert found.row == "o"
    assert [[glance.word for glance in each] for each in found.images] == [["", "ant", "bee"]] * 2
    (tmp_path / "1.png").unlink()
    found = attention_maps([other], images)
    assert found is not None
    assert len(found.images) == 1
    assert attention_maps([replace(other, runs=())], images) is None
    other.runs[0].checkpoint().unlink()
    assert attention_maps([other], images) is None
