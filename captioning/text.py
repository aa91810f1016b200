"""Convert words to ids and back, for any language written in UTF-8."""

import itertools
import sys
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import NFC, Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import Split
from tokenizers.trainers import WordLevelTrainer

from captioning.errors import InputError

PAD, BEGIN, UNKNOWN, END = range(4)
SPECIAL = ("<pad>", "<begin>", "<unknown>", "<end>")

# One word: a letter of a script written without spaces; an English clitic, split as by the PTB
# tokenizer ('s, 'll); or a run of letters and digits, with hyphens, dots and apostrophes inside it.
# A mark by itself (an accent, an emoji's invisible selector) is not a word.
SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
UNSPACED = rf"[{SCRIPTS}]\p{{M}}*"
CLITIC = r"(?:s|m|d|ll|re|ve)\b"
SPACED = rf"[\p{{L}}\p{{N}}&&[^{SCRIPTS}]]\p{{M}}*"
WORD = rf"{UNSPACED}|(?<=\p{{L}})'{CLITIC}|(?:{SPACED})+(?:(?:[-.]|'(?!{CLITIC}))(?:{SPACED})+)*"


class Vocabulary:
    """The words a captioner knows, in the order of their ids.

    Ids 0 to 3 are padding, begin, unknown and end, so the tokens that a caption may contain are
    `range(END, len(vocabulary))`. Text is lower-cased and normalised to Unicode NFC; punctuation
    is dropped, as by the COCO metrics.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def build(cls, captions: Iterable[str], minimum_count: int = 5) -> "Vocabulary":
        """Collect the words that occur at least `minimum_count` times, the most frequent first.

        Ties are broken alphabetically, so that the same captions always give the same ids.
        """
        tokenizer = Tokenizer(WordLevel(unk_token=SPECIAL[UNKNOWN]))
        tokenizer.normalizer = Normalizers([NFC(), Lowercase(), Replace("’", "'")])
        tokenizer.pre_tokenizer = Split(Regex(WORD), behavior="removed", invert=True)
        trainer = WordLevelTrainer(
            vocab_size=sys.maxsize,  # its default is 30,000
            min_frequency=minimum_count,
            special_tokens=list(SPECIAL),
            show_progress=False,
        )
        tokenizer.train_from_iterator(captions, trainer)
        if tokenizer.get_vocab_size() == len(SPECIAL):
            raise InputError(
                f"no word is said {minimum_count} times in the training captions, so the "
                "vocabulary would be empty: lower --loading.minimum_count"
            )
        return cls(tokenizer)

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.tokens == other.tokens

    def __hash__(self) -> int:
        return hash(tuple(self.tokens))

    @property
    def tokens(self) -> list[str]:
        """The text of every token, in the order of ids."""
        ids = self._tokenizer.get_vocab()
        return sorted(ids, key=ids.__getitem__)

    def split(self, caption: str) -> list[str]:
        """Split a caption into words, known or not."""
        normal = self._tokenizer.normalizer.normalize_str(caption)
        return [word for word, _ in self._tokenizer.pre_tokenizer.pre_tokenize_str(normal)]

    def encode(self, captions: Sequence[str]) -> list[list[int]]:
        """Return each caption's words as ids, without BEGIN and END; unknown words are UNKNOWN."""
        # "<end>" in a caption means the word "end"; JSON and pickle do not keep this setting.
        self._tokenizer.encode_special_tokens = True
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(captions))]

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the words before the first END as text, without special tokens."""
        said = itertools.takewhile(lambda token: token != END, tokens)
        words = [str(self._tokenizer.id_to_token(token)) for token in said if token > END]
        return " ".join(words).replace(" '", "'")

    def to_json(self) -> str:
        """Return the vocabulary as JSON, in the `tokenizers` library's own format."""
        return str(self._tokenizer.to_str())

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """Read the output of `to_json`."""
        try:
            return cls(Tokenizer.from_str(text))
        except Exception as error:  # the library raises no narrower kind
            raise InputError(
                f"the vocabulary cannot be read ({error}): is it of another version of tokenizers?"
            ) from error
