"""Decoders, which turn features into words: one interface, one file per kind."""

from captioning.decoder.attention import ShowAttendTell
from captioning.decoder.base import Decoder, Feed, State, Words
from captioning.decoder.lstm import Lrcn, ShowAndTell

__all__ = ["Decoder", "Feed", "Lrcn", "ShowAndTell", "ShowAttendTell", "State", "Words"]
