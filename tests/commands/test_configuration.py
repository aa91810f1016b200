"""Files of settings: what cannot be read is named with its line."""

from pathlib import Path

import pytest

from captioning.__main__ import main


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["train", "--config"], []),
        (["compare"], ["--dry-run"]),
        (["compare", "configs/suites/default.yaml", "--dry-run", "--data"], []),
        (["chain"], ["--data", "shapes"]),
        (["shards", "--output", "nowhere", "--config"], []),
    ],
)
def test_a_file_of_settings_that_is_not_utf8_is_named_with_its_line(
    before: list[str], after: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "café.yaml"
    path.write_bytes("seed: 1\nname: café\n".encode("latin-1"))
    assert main([*before, str(path), *after]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path}, line 2: expected UTF-8, got byte 0xe9; save the file as UTF-8" in line
