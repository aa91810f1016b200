"""Searches, which turn features into captions: one interface, one file per search."""

from captioning.search.base import Hypotheses, Search, all_texts, caption_texts, seeded
from captioning.search.beam import Beam
from captioning.search.sampling import Greedy, Sampling

__all__ = [
    "Beam",
    "Greedy",
    "Hypotheses",
    "Sampling",
    "Search",
    "all_texts",
    "caption_texts",
    "seeded",
]
