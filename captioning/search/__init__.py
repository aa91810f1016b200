"""Ways from features to captions: one interface, one file per way."""

from captioning.search.base import Hypotheses, Search, caption_texts
from captioning.search.beam import Beam
from captioning.search.sampling import Greedy, Sampling

__all__ = ["Beam", "Greedy", "Hypotheses", "Sampling", "Search", "caption_texts"]
