"""The NWB Sink: every rule of the suite, and what other programs read in the file."""

from __future__ import annotations

import pytest

from ranvier.checks.sinks import SINK_RULES, SinkCase
from ranvier.recordings.formats.nwb_sink import NwbSink


@pytest.mark.parametrize("rule", SINK_RULES, ids=lambda rule: rule.__name__)
def test_sink(rule, tmp_path):
    rule(SinkCase(NwbSink, tmp_path))
