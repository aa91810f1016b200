"""What the README shows in Python runs as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from captioning.__main__ import main
from tests.support.tiny_run import config

ROOT = Path(__file__).parents[1]
RUN = "runs/shapes-scheduled-sampling-seed0"


def blocks() -> list[str]:
    """The README's Python."""
    text = (ROOT / "README.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.slow  # trains twice
def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use, own = blocks()
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--config", str(config(tmp_path))]) == 0
    assert f"{RUN}/checkpoints" in use
    shutil.copy(next((tmp_path / "shapes" / "images" / "test").iterdir()), "image.jpg")
    words = [sys.executable, "-c", use]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(words, env=here, capture_output=True, text=True, check=True).stdout
    capsys.readouterr()
    assert main(["caption", RUN, "image.jpg", "--search", "Beam"]) == 0
    assert capsys.readouterr().out == f"image.jpg: {said}"

    # By the console script, which Python starts without the folder that it is called in.
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "module.py").write_text(own)
    script = Path(sys.executable).with_name("captioning")
    words = ["--config", str(config(tmp_path)), "--objective", "my.module.MyObjective"]
    subprocess.run([script, "train", *words], env=here, check=True)
    assert (tmp_path / "runs" / "shapes-my-objective-seed0" / "checkpoints" / "best.ckpt").exists()


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"captioning \d+\.\d+\.\d+\n", capsys.readouterr().out)
