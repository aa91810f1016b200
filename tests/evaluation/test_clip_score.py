"""CLIPScore: its formulas by hand, and a tiny CLIP model from a folder."""

import string
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from captioning.errors import InputError
from captioning.evaluation.clip_score import (
    clip_score,
    clip_scores,
    load_clip,
    reference_clip_score,
)

TEXTS = ["a red dog", "two blue cats.", "a red dog"]
REFERENCES = [["a dog", "the red animal"], ["a cat"], ["a red dog", "a cat", "it"]]


def test_a_clip_score_is_two_and_a_half_cosines_and_never_negative() -> None:
    captions = torch.tensor([[3.0, 4.0], [2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    images = torch.tensor([[10.0, 0.0], [5.0, 0.0], [-1.0, 0.1], [1.0, 0.0]])
    assert clip_score(images, captions).tolist() == pytest.approx([1.5, 2.5, 0, 0])


def test_with_references_it_is_the_harmonic_mean_with_the_nearest_one() -> None:
    captions = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    references = [
        torch.tensor([[0.0, 2.0], [3.0, 4.0]]),  # cosines 0 and 0.6
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[-1.0, 0.0]]),
        torch.tensor([[0.6, 0.8]]),
    ]
    scores = torch.tensor([1.2, 2.5, 2.0, 0.0])
    expected = [2 * 1.2 * 0.6 / (1.2 + 0.6), 10 / 7, 0, 0]
    assert reference_clip_score(scores, captions, references).tolist() == pytest.approx(expected)
    nothing = reference_clip_score(torch.zeros(1), captions[:1], [-captions[:1]])
    assert nothing.tolist() == [0]


def test_without_transformers_the_package_to_install_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"pip install 'captioning\[clip\]'"):
        load_clip(tmp_path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CLIP model of random weights, which knows letters only."""
    reason = "needs the extra `clip`: pip install 'captioning[clip]'"
    transformers = pytest.importorskip("transformers", reason=reason)
    letters = [*string.ascii_lowercase, ".", *(f"{c}</w>" for c in string.ascii_lowercase + ".")]
    tokens = [*letters, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tower = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    end = vocabulary["<|endoftext|>"]
    text = {"vocab_size": len(tokens), "max_position_embeddings": 32, "eos_token_id": end}
    config = transformers.CLIPConfig(
        text_config={**tower, **text, "bos_token_id": end - 1, "pad_token_id": end},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    model = transformers.CLIPModel(config)
    folder = tmp_path_factory.mktemp("clip")
    model.save_pretrained(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    processor = transformers.CLIPProcessor(
        transformers.CLIPImageProcessor(**size),
        transformers.CLIPTokenizerFast(vocab=vocabulary, merges=[]),
    )
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.png" for name in ("red", "blue", "wide")]
    for path, colour, width in zip(paths, ("red", "blue", "green"), (32, 40, 90), strict=True):
        Image.new("RGB", (width, 36), colour).save(path)
    return paths


def embeddings(weights: Path, texts: list[str], images: list[Path]) -> tuple[np.ndarray, ...]:
    """One text and one image at a time, straight from the model."""
    from transformers import CLIPModel, CLIPProcessor

    model, processor = CLIPModel.from_pretrained(weights), CLIPProcessor.from_pretrained(weights)
    prepared = [processor(images=Image.open(path), return_tensors="pt") for path in images]
    prompts = [f"A photo depicts {text}" for text in texts]
    words = [processor(text=prompt, return_tensors="pt") for prompt in prompts]
    with torch.no_grad():
        seen = [model.get_image_features(**each).pooler_output[0].numpy() for each in prepared]
        said = [model.get_text_features(**word).pooler_output[0].numpy() for word in words]
    return np.array(seen), np.array(said)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


@pytest.mark.slow
def test_scores_by_a_model_are_those_of_its_embeddings(weights: Path, images: list[Path]) -> None:
    scores = clip_scores(images, TEXTS, REFERENCES, load_clip(weights))
    seen, said = embeddings(weights, TEXTS, images)
    by_hand = [2.5 * max(cosine(v, c), 0) for v, c in zip(seen, said, strict=True)]
    assert max(by_hand) > 0.01
    assert scores["CLIPScore"] == pytest.approx(by_hand, abs=1e-5)
    nearest = [
        max(cosine(c, r) for r in embeddings(weights, group, [])[1])
        for c, group in zip(said, REFERENCES, strict=True)
    ]
    assert nearest[2] == pytest.approx(1)
    means = [
        2 * s * r / (s + r) if s > 0 and r > 0 else 0 for s, r in zip(by_hand, nearest, strict=True)
    ]
    assert scores["RefCLIPScore"] == pytest.approx(means, abs=1e-5)


@pytest.mark.slow
def test_a_text_longer_than_the_model_reads_is_cut(weights: Path, images: list[Path]) -> None:
    long = ["dog " * 50, "dog " * 50 + "and a cat", "dog " * 60]
    scores = clip_scores([images[0]] * 3, long, [["a dog"]] * 3, load_clip(weights))["CLIPScore"]
    assert scores == pytest.approx(scores[0])


@pytest.mark.slow
def test_a_folder_without_a_model_is_one_sentence(weights: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none", Path("openai/clip-vit-base-patch32")):
        with pytest.raises(InputError, match="expected a folder with a CLIP model") as caught:
            load_clip(folder)
        assert "\n" not in str(caught.value)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((weights / name).read_bytes()[:1000])
    with pytest.raises(InputError, match="expected a folder with a CLIP model"):
        load_clip(tmp_path)
