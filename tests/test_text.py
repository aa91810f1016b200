"""Words and ids: any language, the same ids for the same words, nothing lost on the way back."""

import pickle
import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioning.errors import InputError
from captioning.text import BEGIN, END, PAD, SPECIAL, UNKNOWN, Vocabulary

ENGLISH = Vocabulary.build(["a man's hat", "two dogs don't run", "the ice-cream is 3.5 cm"], 1)


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A Dog, RUNNING!", "a dog running"),
        ("Hai người đàn ông đang chơi bóng.", "hai người đàn ông đang chơi bóng"),
        ("一只狗。", "一 只 狗"),
        ("3个穿T恤的人", "3 个 穿 t 恤 的 人"),
        ("コーヒー", "コ ー ヒ ー"),
        ("บิน", "บิ น"),
        ("한국어 단어", "한국어 단어"),
        ("हिन्दी में", "हिन्दी में"),
        ("собака бежит", "собака бежит"),
        ("the man's dogs' ball", "the man 's dogs ball"),
        ("they'll say it’s o'clock", "they 'll say it 's o'clock"),
        ("don't", "don't"),
        ("a black-and-white T-shirt", "a black-and-white t-shirt"),
        ("a 3-d U.S. film-- end", "a 3-d u.s film end"),
        ("22 dogs, 3.5 cm; No. 7", "22 dogs 3.5 cm no 7"),
        ("'quoted' \"words\"", "quoted words"),
        ("x—y_z/w", "x y z w"),
        ("I ❤️ it", "i it"),
        ("\u0301 a", "a"),
    ],
)
def test_a_caption_is_split_into_its_words(caption: str, words: str) -> None:
    assert ENGLISH.split(caption) == words.split(" ")


@pytest.mark.parametrize("caption", ["", " ", "…", "🐕🐕", "❤️", "👍🏽", "-", "'", "\ufeff"])
def test_a_caption_without_a_word_gives_no_token(caption: str) -> None:
    assert ENGLISH.split(caption) == []
    assert ENGLISH.encode([caption]) == [[]]


def test_composed_and_decomposed_letters_are_one_word() -> None:
    composed, decomposed = (unicodedata.normalize(form, "Một ĐƯỜNG phố") for form in ("NFC", "NFD"))
    assert composed != decomposed
    vocabulary = Vocabulary.build([decomposed], 1)
    assert vocabulary == Vocabulary.build([composed], 1)
    assert vocabulary.tokens[END + 1 :] == sorted(["một", "đường", "phố"])
    assert vocabulary.encode([composed]) == vocabulary.encode([decomposed])
    assert UNKNOWN not in vocabulary.encode([composed])[0]


def test_both_apostrophes_are_one_word() -> None:
    assert ENGLISH.encode(["man’s don’t"]) == ENGLISH.encode(["man's don't"])


def test_special_tokens_come_first_and_every_id_has_one_text() -> None:
    assert ENGLISH.tokens[: END + 1] == list(SPECIAL)
    assert (PAD, BEGIN, UNKNOWN, END) == (0, 1, 2, 3)
    assert len(set(ENGLISH.tokens)) == len(ENGLISH.tokens) == len(ENGLISH)


@pytest.mark.parametrize("special", SPECIAL)
def test_a_caption_cannot_smuggle_in_a_special_token(special: str) -> None:
    word = special.strip("<>")
    for vocabulary in (ENGLISH, Vocabulary.from_json(ENGLISH.to_json()), pickled(ENGLISH)):
        assert vocabulary.encode([f"a {special} hat"]) == vocabulary.encode([f"a {word} hat"])
        assert set(vocabulary.encode([special])[0]) == {UNKNOWN}


def pickled(vocabulary: Vocabulary) -> Vocabulary:
    again: Vocabulary = pickle.loads(pickle.dumps(vocabulary))
    return again


def test_frequent_words_come_first_and_ties_go_by_the_alphabet() -> None:
    vocabulary = Vocabulary.build(["b a c", "c", "d d b"], 1)
    assert vocabulary.tokens[END + 1 :] == ["b", "c", "d", "a"]


@given(st.randoms(use_true_random=False))
def test_ids_do_not_depend_on_the_order_of_captions(shuffler: random.Random) -> None:
    words = [f"w{i}" for i in range(20)]
    captions = [" ".join(words[: i % 20 + 1]) for i in range(25)]
    expected = Vocabulary.build(captions, 2)
    shuffler.shuffle(captions)
    assert Vocabulary.build(captions, 2).tokens == expected.tokens


def test_a_word_is_known_from_the_minimum_count_on() -> None:
    vocabulary = Vocabulary.build(["Dog dog cat", "dog. cat", "elk"], 2)
    assert vocabulary.tokens[END + 1 :] == ["dog", "cat"]
    assert vocabulary.encode(["a cat elk Dog"]) == [[UNKNOWN, 5, UNKNOWN, 4]]


def test_a_vocabulary_without_words_is_refused() -> None:
    with pytest.raises(InputError, match=r"said 3 times .* lower --loading.minimum_count"):
        Vocabulary.build(["a b", "a b"], 3)


@pytest.mark.parametrize("caption", ["the man's hat", "two dogs don't run", "a ice-cream is 3.5"])
def test_decoding_undoes_encoding_of_a_plain_sentence(caption: str) -> None:
    (ids,) = ENGLISH.encode([caption])
    assert ENGLISH.decode(ids) == caption


def test_decoding_stops_at_end_and_leaves_special_tokens_out() -> None:
    a, hat = ENGLISH.encode(["a hat"])[0]
    assert ENGLISH.decode([BEGIN, a, UNKNOWN, hat, PAD, END, a]) == "a hat"
    assert ENGLISH.decode([]) == ENGLISH.decode([END, a]) == ""


@given(st.text(max_size=40))
def test_what_a_vocabulary_says_it_can_read_back(caption: str) -> None:
    words = ENGLISH.split(caption)
    if not words:
        return
    vocabulary = Vocabulary.build([caption], 1)
    (ids,) = vocabulary.encode([caption])
    assert len(ids) == len(words)
    assert min(ids) > END
    assert [vocabulary.tokens[token] for token in ids] == words
    assert vocabulary.encode([vocabulary.decode(ids)]) == [ids]


def test_json_keeps_words_ids_and_splitting() -> None:
    vocabulary = Vocabulary.build(["Người đi bộ's", "3只狗"], 1)
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)
    assert again.encode(["NGƯỜI 只x"]) == vocabulary.encode(["NGƯỜI 只x"])
    assert again.split("3只狗's") == vocabulary.split("3只狗's")


def test_vocabularies_of_other_words_differ() -> None:
    assert Vocabulary.build(["a b"], 1) != Vocabulary.build(["a c"], 1)
    assert Vocabulary.build(["a"], 1) != "a"


@pytest.mark.parametrize("text", ["", "{}", "no json"])
def test_a_damaged_vocabulary_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="vocabulary cannot be read"):
        Vocabulary.from_json(text)
