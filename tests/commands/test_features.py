"""`captioning features`: every split encoded once, exactly as training would have done it."""

import shutil
from pathlib import Path

import pytest
import yaml

from captioning.__main__ import main
from tests.support.builders import FASTEST, make_examples, make_network, save_weights
from tests.support.tiny_run import equal, weights


def config(folder: Path, splits: str = "train train train val") -> Path:
    """Images of these splits in a manifest, and a frozen network."""
    examples = make_examples(folder, [["a cat sat"]] * len(splits.split()))
    rows = [
        f"{example.image.name},{example.captions[0]},{split}"
        for example, split in zip(examples, splits.split(), strict=True)
    ]
    (folder / "manifest.csv").write_text("\n".join(["image,caption,split", *rows]))
    manifest = {"name": "mine", "path": str(folder / "manifest.csv")}
    saved = save_weights(make_network(FASTEST), folder)
    content = {
        "data": {"class_path": "captioning.data.Manifest", "init_args": manifest},
        "encoder": {
            "class_path": "captioning.encoder.Backbone",
            "init_args": {"architecture": FASTEST, "weights": saved},
        },
        "loading": {
            "minimum_count": 1,
            "num_workers": 0,
            "feature_cache": str(folder / "features"),
        },
        "runs": str(folder / "runs"),
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def dates(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "features").glob("*.npy")}


@pytest.mark.slow  # trains twice
def test_training_after_it_encodes_nothing_and_is_as_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path)
    decoder = ["--decoder", "captioning.decoder.ShowAndTell", "--decoder.hidden_size", "8"]
    forced = ["--objective", "captioning.objectives.teacher_forcing.TeacherForcing"]
    train = ["train", "--config", str(path), *decoder, *forced]
    other = ["--loading.feature_cache", str(tmp_path / "other"), "--name", "other"]
    assert main(["features", "--config", str(path)]) == 0
    told = capsys.readouterr()
    files = [Path(line) for line in told.out.splitlines()]
    assert len(files) == 2  # there is no test split
    assert "features of 4 images" in told.err
    assert "free bytes to take" in told.err
    before = dates(tmp_path)
    assert main(train) == 0
    assert "to encode" not in capsys.readouterr().err
    assert dates(tmp_path) == before
    assert main([*train, *other]) == 0
    assert "3 of 3 images to encode" in capsys.readouterr().err
    for file in files:
        assert file.read_bytes() == (tmp_path / "other" / file.name).read_bytes()
    runs = tmp_path / "runs"
    assert equal(
        weights(runs / "mine-teacher-forcing-seed0"),
        weights(runs / "mine-teacher-forcing-other-seed0"),
    )


def test_a_changed_image_is_refused_until_it_is_renewed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["features", "--config", str(config(tmp_path, "train val"))]
    assert main(command) == 0
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes())
    capsys.readouterr()
    assert main(command) == 2
    assert "1.png has changed since" in capsys.readouterr().err
    assert main([*command, "--renew"]) == 0
    assert "1 of 1 images to encode" in capsys.readouterr().err
    assert main(command) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--encoder.frozen", "false"], "the encoder is not frozen"),
        (["--encoder.frozenn", "true"], "the nearest valid key is"),
        (["--data.path", "no.csv"], "no.csv: not found"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_status_2(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["features", "--config", str(config(tmp_path, "train val")), *words]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert told in line
    assert not (tmp_path / "features").exists()


def test_a_disk_too_small_for_all_splits_is_refused_before_any_is_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path, "train val")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1500))
    assert main(["features", "--config", str(path)]) == 2
    told = capsys.readouterr().err
    assert "of 1,500 free bytes" in told
    assert "--loading.feature_cache" in told
    assert not (tmp_path / "features").exists()
