"""What a finished run leaves, and what is read of older and damaged ones."""

from pathlib import Path

import pytest

from captioning.errors import InputError
from captioning.finished import Finished, read_finished, write_finished
from captioning.runs import Run


@pytest.mark.parametrize("finished", [Finished(90.5, "AMD EPYC, 2 cores"), Finished(None)])
def test_what_is_written_is_read_again(tmp_path: Path, finished: Finished) -> None:
    write_finished(Run(tmp_path), finished)
    assert read_finished(Run(tmp_path)) == finished


@pytest.mark.parametrize(
    ("text", "seconds"), [('{"seconds": 90}', 90.0), ('{"seconds": null}', None)]
)
def test_older_runs_do_not_know_their_hardware(
    tmp_path: Path, text: str, seconds: float | None
) -> None:
    Run(tmp_path).finished_file.write_text(text)
    assert read_finished(Run(tmp_path)) == Finished(seconds, "")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "expected an object, got list"),
        ("{}", "the field 'seconds' is missing"),
        ('{"seconds": "long"}', "expected 'seconds' to be a number or null, got 'long'"),
        ('{"seconds": 1.0, "hardware": 2}', "expected 'hardware' to be str, got 2"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    Run(tmp_path).finished_file.write_text(text)
    with pytest.raises(InputError, match=rf"finished.json: {complaint}"):
        read_finished(Run(tmp_path))
