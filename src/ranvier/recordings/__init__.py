"""Recordings: what a path opens as, and what is written.

``open_session(path)`` gives a :class:`Session` of :class:`Recording` streams; a :class:`Sink` writes one.
"""

from ranvier.recordings.block import Block
from ranvier.recordings.channels import Channel, ChannelTable, Site, plain_channels
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.format import Format
from ranvier.recordings.plugins import forget_plugins, plugin_problems
from ranvier.recordings.recording import Recording
from ranvier.recordings.registry import all_formats, detect, detect_as, format_for_type, open_session
from ranvier.recordings.segments import Gap, Piece, Segments
from ranvier.recordings.session import Clock, Session
from ranvier.recordings.sink import Header, Sink

__all__ = [
    "Block",
    "Channel",
    "ChannelTable",
    "Clock",
    "Events",
    "Format",
    "Gap",
    "Header",
    "Piece",
    "Recording",
    "Segments",
    "Session",
    "Sink",
    "Site",
    "SpikeTrains",
    "all_formats",
    "detect",
    "detect_as",
    "forget_plugins",
    "format_for_type",
    "open_session",
    "plain_channels",
    "plugin_problems",
]
