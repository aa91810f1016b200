"""The shapes world as a judge of captions and of captioners."""

import pytest
import torch

from captioning.batch import Captions
from captioning.captioner import Captioner
from captioning.data import Coco, Shapes
from captioning.data.batching import EvaluationBatches
from captioning.decoder import Lrcn
from captioning.encoder import SmallCnn
from captioning.evaluation import known_world
from captioning.evaluation.known_world import World
from captioning.evaluation.law import SAMPLES, Measured
from captioning.loaders import Loading, evaluation_batches
from captioning.search import Sampling
from captioning.shapes.grammar import support
from captioning.shapes.scene import LONE, PAIRS, Scene
from captioning.text import END, Vocabulary

Known = dict[int | str, Scene]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    """More images than are looked at together."""
    folder = tmp_path_factory.mktemp("world") / "shapes"
    return Shapes(folder=str(folder), sizes={"test": known_world.IMAGES + 3})


@pytest.fixture(scope="module")
def known(data: Shapes) -> Known:
    ids = [example.image_id for example in data.examples("test")]
    return known_world.known_scenes(data, ids)


def make_captioner(texts: list[str]) -> Captioner:
    torch.manual_seed(0)
    vocabulary = Vocabulary.build(texts, minimum_count=1)
    encoder = SmallCnn(channels=8, image_size=32)
    decoder = Lrcn(len(vocabulary), encoder.feature_size, hidden_size=8, embedding_size=8)
    return Captioner(encoder, decoder, vocabulary).eval()


def all_texts(known: Known) -> list[str]:
    return [text for scene in known.values() for text in support(scene)]


def make_batches(data: Shapes, captioner: Captioner) -> EvaluationBatches:
    loading = Loading(batch_size=len(data.examples("test")), num_workers=0)
    return evaluation_batches(data.examples("test"), captioner, loading, data.name)


def compare(data: Shapes, known: Known, captioner: Captioner) -> World:
    captions = known_world.from_true_law(known)
    measured = measure(data, known, captioner)
    return known_world.compare(captions, known, dict(measured), captioner.vocabulary)


def measure(data: Shapes, known: Known, captioner: Captioner) -> list[tuple[int | str, Measured]]:
    (batch,) = make_batches(data, captioner)
    with torch.inference_mode():
        features = captioner.encode(batch)
    known = known_world.comparable(known, captioner.vocabulary)
    return known_world.measure_batch([captioner], [features], batch.image_ids, known)


@pytest.mark.slow
def test_the_divergence_from_the_truth_is_the_sum_over_all_true_captions(
    data: Shapes, known: Known
) -> None:
    captioner = make_captioner(all_texts(known))
    (batch,) = make_batches(data, captioner)
    divergences, lengths, inside = [], [], []
    with torch.no_grad():
        features = captioner.encode(batch)
    for place, image_id in enumerate(batch.image_ids):
        law = support(known[image_id])
        rows = [[*row, END] for row in captioner.vocabulary.encode(list(law))]
        captions = Captions.from_lists(rows, [place] * len(rows))
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
        p = torch.tensor([list(law.values())[row] for row in order], dtype=torch.float64)
        with torch.no_grad():
            scores = captioner.decoder.log_probabilities(captioner(features, captions)).double()
        said = scores.gather(1, captions.targets[:, None] - END).squeeze(1)
        log_q = captions.unpack(said).sum(1)
        divergences.append((p * (p.log() - log_q)).sum().item())
        lengths.append((p * captions.lengths).sum().item())
        inside.append(log_q.exp().sum().item())
    found = compare(data, known, captioner).divergences
    total = sum(divergences) / len(divergences)
    assert found["forward_kl"] == pytest.approx(total, rel=1e-6)
    assert found["forward_kl_per_word"] == pytest.approx(total * len(lengths) / sum(lengths))
    assert found["outside"] == pytest.approx(1 - sum(inside) / len(inside))


def test_samples_are_judged_beside_the_captions_and_are_always_the_same(
    data: Shapes, known: Known
) -> None:
    captioner = make_captioner(all_texts(known))
    found = compare(data, known, captioner)
    assert found.verdicts["true"] == 1
    assert found.samples["ungrammatical"] > 0.9  # it has learned nothing
    assert sum(found.samples.values()) == pytest.approx(1)
    assert found.left_out == {}
    assert found.signature == "|divergences:delta-0.01,samples-20"
    assert compare(data, known, captioner) == found


def test_a_captioner_that_lacks_a_word_has_no_divergence_and_the_word_is_named(
    data: Shapes, known: Known
) -> None:
    texts = [text for text in all_texts(known) if "tiny" not in text.split()]
    found = compare(data, known, make_captioner(texts))
    assert found.verdicts["true"] == 1
    assert found.divergences == found.samples == {}
    assert found.signature == ""
    assert found.left_out == {
        "divergences": "P says 'tiny', which the captioner does not know: KL[P‖Q] is infinite"
    }


def test_of_other_data_nothing_is_known(data: Shapes) -> None:
    other = data.in_coco_form()
    assert isinstance(other, Coco)
    assert known_world.known_scenes(other, [1, 2]) == {}
    captioner = make_captioner(["a ring"])
    assert measure(data, {}, captioner) == []
    assert known_world.compare({1: "a ring"}, {}, {}, captioner.vocabulary) == World()


def test_no_true_caption_is_longer_than_a_sample_may_be() -> None:
    longest = max(len(text.split()) for scene in LONE + PAIRS for text in support(scene))
    assert longest + 1 <= Sampling(SAMPLES).steps


def test_captions_of_the_true_law_are_true(known: Known, data: Shapes) -> None:
    assert [*known] == [example.image_id for example in data.examples("test")]
    drawn = known_world.from_true_law(known)
    assert all(drawn[image_id] in support(scene) for image_id, scene in known.items())


def test_shares_of_verdicts_worked_by_hand() -> None:
    scene = LONE[0]
    (true, *_) = support(scene)
    captions = (true, true, "a ring ring", "")
    assert known_world.verdicts([(caption, scene) for caption in captions]) == {
        "true": 0.5,
        "ungrammatical": 0.5,
        "false_attribute": 0,
        "wrong_count": 0,
        "wrong_relation": 0,
    }
