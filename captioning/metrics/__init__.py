"""Caption metrics: strings in, floats out, without torch or a system Java."""

from captioning.metrics.ciderd import CiderD, DocumentFrequencies, document_frequencies
from captioning.metrics.coco import METRICS, Scorer, Scores, check_metrics, score, statistics_of
from captioning.metrics.diversity import Diversity, distinct_captions, diversity, mutual_bleu
from captioning.metrics.human import human
from captioning.metrics.java import runtime_version
from captioning.metrics.statistics import Statistics
from captioning.metrics.tokenizer import tokenize
from captioning.metrics.uncertainty import Difference, Interval, compare, confidence_intervals

__all__ = [
    "METRICS",
    "CiderD",
    "Difference",
    "Diversity",
    "DocumentFrequencies",
    "Interval",
    "Scorer",
    "Scores",
    "Statistics",
    "check_metrics",
    "compare",
    "confidence_intervals",
    "distinct_captions",
    "diversity",
    "document_frequencies",
    "human",
    "mutual_bleu",
    "runtime_version",
    "score",
    "statistics_of",
    "tokenize",
]
