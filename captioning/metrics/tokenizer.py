"""Penn Treebank tokens of captions, exactly as in the COCO evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pycocoevalcap.tokenizer import ptbtokenizer

from captioning.errors import InputError
from captioning.metrics.java import JavaProcess

_JAR = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
_PUNCTUATION = frozenset(ptbtokenizer.PUNCTUATIONS)


def tokenize(captions: Sequence[str]) -> list[str]:
    """Return each caption's lower-cased tokens without punctuation, joined by single spaces.

    The Stanford PTB tokenizer reads the captions as the lines of one document, as in pycocoevalcap.
    So a caption may depend on its neighbours: whether the last full stop of "12th Ave S." belongs
    to the word depends on the capital at the start of the next caption (this affects 2 of the
    25,014 captions of COCO val2017). Tokenise a corpus in its own order and in one call to get the
    published numbers.

    A token may contain a no-break space: "22 3/4" is one token. An empty caption gives "".

    Raises:
        InputError: if the tokenizer fails.
    """
    document = "\n".join(" ".join(caption.splitlines()) for caption in captions)
    lines = _tokenize_document(document).split("\n") if captions else []
    if len(lines) != len(captions):
        raise InputError(
            f"the PTB tokenizer returned {len(lines)} lines for {len(captions)} captions; "
            "look for control characters in the captions"
        )
    return [_without_punctuation(line) for line in lines]


def _tokenize_document(document: str) -> str:
    # Only the quick compiler: the optimising one takes more time than it saves, half of the total.
    program = ["-XX:TieredStopAtLevel=1", "-cp", str(_JAR), "edu.stanford.nlp.process.PTBTokenizer"]
    options = ["-preserveLines", "-lowerCase", "-encoding", "utf-8"]
    with JavaProcess("the PTB tokenizer", program + options) as java:
        return java.finish(document)


def _without_punctuation(line: str) -> str:
    return " ".join(word for word in line.rstrip().split(" ") if word not in _PUNCTUATION)
