"""The captioner: parts that fit, features of one scale, and a checkpoint that works alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from captioning.captioner import (
    Captioner,
    fingerprint,
    load_captioner,
    load_weights,
    read_checkpoint,
)
from captioning.decoder import Decoder, Lrcn, ShowAndTell, ShowAttendTell
from captioning.encoder import Backbone, SmallCnn
from captioning.errors import InputError
from captioning.text import Vocabulary
from tests.support.builders import (
    DECODERS,
    VOCABULARY,
    make_batch,
    make_captioner,
    make_captions,
    make_decoder,
    make_features,
    one_line,
)

each_decoder = pytest.mark.parametrize("kind", DECODERS)


def checkpoint_of(captioner: Captioner) -> dict[str, Any]:
    """What training saves, as far as a captioner is concerned."""
    weights = {f"captioner.{name}": value for name, value in captioner.state_dict().items()}
    return {"captioner": captioner.description(), "state_dict": weights}


def saved(content: object, folder: Path) -> Path:
    torch.save(content, folder / "last.ckpt")
    return folder / "last.ckpt"


def outputs_for(captioner: Captioner, images: Tensor) -> Tensor:
    captions = make_captions()
    batch = make_batch(captions)._replace(images=images, features=None)
    with torch.no_grad():
        outputs: Tensor = captioner(captioner.encode(batch), captions)
    return outputs


def test_a_fingerprint_is_of_the_captioner_alone_and_of_every_part_of_it() -> None:
    captioner = make_captioner(ShowAndTell).to(torch.bfloat16)
    once = fingerprint(checkpoint_of(captioner))
    more = checkpoint_of(captioner) | {"epoch": 3}
    more["state_dict"]["objective.discriminator.weight"] = torch.ones(2)
    assert fingerprint(more) == once
    more["captioner"] = more["captioner"] | {"vocabulary": "{}"}
    assert fingerprint(more) != once
    captioner.feature_mean[0] += 1
    assert fingerprint(checkpoint_of(captioner)) != once


@pytest.mark.parametrize("tied", [False, True])
@each_decoder
def test_a_loaded_captioner_says_what_the_saved_one_said(
    kind: type[Decoder], tied: bool, tmp_path: Path
) -> None:
    captioner = make_captioner(kind, dropout=0.5, tied=tied).float()
    captioner.standardise(make_features())
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        captioner.encoder.train()(5 * images)  # moves the statistics of its batch norms
    captioner.eval()
    path = saved(checkpoint_of(captioner), tmp_path)
    again = load_captioner(path)
    assert not any(module.training for module in again.modules())
    assert again.vocabulary == captioner.vocabulary
    assert (again.decoder.output.weight is again.decoder.embedding.weight) == tied
    assert torch.equal(outputs_for(again, images), outputs_for(captioner, images))
    assert again.description() == captioner.description()


def test_a_checkpoint_holds_no_code() -> None:
    description = make_captioner(ShowAndTell).description()

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(own) for key, own in value.items())
        return value is None or isinstance(value, str | int | float | bool)

    assert plain(description)


def test_other_entries_of_a_checkpoint_are_left_alone(tmp_path: Path) -> None:
    captioner = make_captioner(Lrcn).float()
    content = checkpoint_of(captioner)
    content["state_dict"]["objective.discriminator.weight"] = torch.zeros(3)
    content |= {"epoch": 3, "optimizer_states": []}
    again = load_captioner(saved(content, tmp_path))
    images = torch.randn(3, 3, 16, 16)
    assert torch.equal(outputs_for(again, images), outputs_for(captioner, images))


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.ckpt", tmp_path):
        with pytest.raises(InputError) as error:
            load_captioner(path)
        assert f"no checkpoint at {path}" in one_line(error)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(share: float, tmp_path: Path) -> None:
    path = saved(checkpoint_of(make_captioner(ShowAndTell)), tmp_path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError) as error:
        load_captioner(path)
    assert f"{path} cannot be read as a checkpoint" in one_line(error)
    assert "cut short" in one_line(error)


@pytest.mark.parametrize("content", [b"plain text\n", b"\x80\x04N.", b"\x89PNG\r\n", b"(lp0\n."])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(InputError) as error:
        load_captioner(tmp_path / "last.ckpt")
    assert "last.ckpt" in one_line(error)
    assert "checkpoint" in one_line(error)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {}}, {"captioner": {}}, torch.ones(2)])
def test_a_pytorch_file_of_another_program_is_refused(content: object, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_captioner(saved(content, tmp_path))
    assert "not a captioner's checkpoint" in one_line(error)


def test_a_pickled_object_is_never_brought_to_life(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        read_checkpoint(saved(make_captioner(ShowAndTell), tmp_path))


@pytest.mark.parametrize(
    ("class_path", "words"),
    [
        ("os.system", "os.system, which is no Encoder"),
        ("captioning.decoder.ShowAndTell", "which is no Encoder"),
        ("captioning.encoder.load_network", "which is no Encoder"),
        ("captioning.encoder.Encoder", "of another version"),
        ("captioning.encoder.Transformer", "this installation does not have"),
        ("no_such_module.Encoder", "this installation does not have"),
        ("Encoder", "this installation does not have"),
        (".os.system", "this installation does not have"),
        ("", "this installation does not have"),
    ],
)
def test_a_checkpoint_cannot_name_anything_but_an_encoder(
    class_path: str, words: str, tmp_path: Path
) -> None:
    content = checkpoint_of(make_captioner(ShowAndTell))
    witness = tmp_path / "witness"
    content["captioner"]["encoder"] = {
        "class_path": class_path,
        "init_args": {"command": f"touch {witness}"},
    }
    with pytest.raises(InputError) as error:
        load_captioner(saved(content, tmp_path))
    assert words in one_line(error)
    assert not witness.exists()


def test_arguments_that_a_class_does_not_know_are_told(tmp_path: Path) -> None:
    content = checkpoint_of(make_captioner(ShowAndTell))
    content["captioner"]["decoder"]["init_args"]["heads"] = 8
    with pytest.raises(InputError) as error:
        load_captioner(saved(content, tmp_path))
    assert "captioning.decoder.lstm.ShowAndTell is of another version" in one_line(error)
    assert "heads" in one_line(error)


@pytest.mark.parametrize(
    "other",
    [
        Captioner(SmallCnn(4, 16, "grid"), make_decoder(Lrcn), VOCABULARY),
        Captioner(SmallCnn(4, 16, "grid"), ShowAndTell(len(VOCABULARY), 4, 6, 6), VOCABULARY),
        Captioner(SmallCnn(8, 16, "grid"), ShowAndTell(len(VOCABULARY), 8, 5, 5), VOCABULARY),
    ],
    ids=["another class", "another width", "another encoder"],
)
def test_weights_of_another_architecture_are_refused(other: Captioner) -> None:
    captioner, source = make_captioner(ShowAndTell), Path("other.ckpt")
    with pytest.raises(InputError) as error:
        load_weights(captioner, checkpoint_of(other)["state_dict"], source)
    assert "other.ckpt is from another architecture or vocabulary" in one_line(error)
    assert "differences)" in one_line(error)


def test_a_checkpoint_whose_weights_do_not_fit_its_description_is_refused(tmp_path: Path) -> None:
    content = checkpoint_of(make_captioner(ShowAndTell))
    content["captioner"]["decoder"] = make_captioner(Lrcn).description()["decoder"]
    with pytest.raises(InputError, match="another architecture"):
        load_captioner(saved(content, tmp_path))
    content["state_dict"] = {}
    with pytest.raises(InputError, match="another architecture"):
        load_captioner(saved(content, tmp_path))


def test_a_checkpoint_with_a_vocabulary_of_another_size_is_refused(tmp_path: Path) -> None:
    content = checkpoint_of(make_captioner(ShowAndTell))
    content["captioner"]["vocabulary"] = Vocabulary.build(["ant bee"], 1).to_json()
    with pytest.raises(InputError) as error:
        load_captioner(saved(content, tmp_path))
    assert "has 10 tokens, the vocabulary has 6" in one_line(error)


def test_attention_refuses_pooled_features() -> None:
    decoder = ShowAttendTell(len(VOCABULARY), feature_size=16, hidden_size=5)
    with pytest.raises(InputError) as error:
        Captioner(SmallCnn(4, 16, "pooled"), decoder, VOCABULARY)
    assert "ShowAttendTell chooses among regions, the encoder gives 1" in one_line(error)
    assert "'grid'" in one_line(error)


def test_a_decoder_for_features_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="features of 4 numbers, the encoder gives 16"):
        Captioner(SmallCnn(4, 16, "pooled"), make_decoder(ShowAndTell), VOCABULARY)


def test_features_are_left_as_they_are_until_standardised() -> None:
    features = make_features()
    encoded = make_captioner(Lrcn).float().encode(make_batch(features=features))
    assert torch.equal(encoded, features.float())


def test_standardised_features_have_mean_zero_and_deviation_one() -> None:
    captioner, features = make_captioner(Lrcn).float(), 5 * make_features(50) - 3
    features[..., 1] = 7.0
    captioner.standardise(features)
    encoded = captioner.encode(make_batch(features=features))
    torch.testing.assert_close(encoded.mean((0, 1)), torch.zeros(4), rtol=0, atol=1e-5)
    deviation = encoded.std((0, 1), correction=0)
    torch.testing.assert_close(deviation, torch.tensor([1.0, 0.0, 1.0, 1.0]), rtol=0, atol=1e-5)


def test_one_image_can_be_standardised() -> None:
    captioner = make_captioner(Lrcn)
    captioner.standardise(make_features(1)[:, :1])
    assert torch.isfinite(captioner.encode(make_batch())).all()


def test_images_are_encoded_and_standardised_like_their_features() -> None:
    captioner = make_captioner(Lrcn).float()
    captioner.standardise(make_features())
    images = torch.randn(3, 3, 16, 16)
    from_images = captioner.encode(make_batch()._replace(images=images, features=None))
    features = captioner.encoder(images)
    assert torch.equal(from_images, captioner.encode(make_batch(features=features)))


def test_half_precision_features_are_widened() -> None:
    features = make_features().half()
    encoded = make_captioner(Lrcn).float().encode(make_batch(features=features))
    assert encoded.dtype == torch.float32
    assert torch.equal(encoded, features.float())


def test_a_batch_with_neither_images_nor_features_is_refused() -> None:
    with pytest.raises(ValueError, match="images or features, got neither"):
        make_captioner(Lrcn).float().encode(make_batch()._replace(features=None))


@each_decoder
def test_gold_inputs_are_the_default(kind: type[Decoder]) -> None:
    captioner, batch = make_captioner(kind), make_batch()
    features = captioner.encode(batch)
    gold = captioner(features, batch.captions)
    assert torch.equal(captioner(features, batch.captions, batch.captions.inputs), gold)
    other = batch.captions.inputs.clamp(max=4)
    assert not torch.equal(captioner(features, batch.captions, other), gold)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_captioner_in_training_leaves_a_frozen_encoder_in_evaluation(frozen: bool) -> None:
    encoder = Backbone("shufflenet_v2_x0_5", None, frozen=frozen)
    decoder = ShowAndTell(len(VOCABULARY), encoder.feature_size, 5, 5)
    captioner = Captioner(encoder, decoder, VOCABULARY).train()
    assert captioner.decoder.training
    assert [module.training for module in encoder.modules()].count(frozen) == 0
    captions = make_captions()
    batch = make_batch(captions)._replace(images=torch.randn(3, 3, 64, 64), features=None)
    captioner(captioner.encode(batch), captions).sum().backward()
    assert all((weights.grad is None) == frozen for weights in encoder.parameters())
    assert decoder.lstm.weight_hh_l0.grad is not None
