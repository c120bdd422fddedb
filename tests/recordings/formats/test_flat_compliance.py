"""The reader and Sink suites on XDAT, raw and Kilosort files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ranvier.checks.sinks import SINK_RULES, SinkCase
from ranvier.recordings.formats.kilosort import KilosortSink
from ranvier.recordings.formats.xdat_sink import XdatSink


@pytest.mark.parametrize("rule", SINK_RULES, ids=lambda rule: rule.__name__)
def test_xdat_sink(rule, tmp_path: Path) -> None:
    rule(SinkCase(XdatSink, tmp_path))


@pytest.mark.parametrize("rule", SINK_RULES, ids=lambda rule: rule.__name__)
def test_kilosort_sink(rule, tmp_path: Path) -> None:
    case = SinkCase(KilosortSink, tmp_path, kept=(0, 1, 2, 3, 4, 5), limit_uv=6389.0, keeps_spike_trains=False)
    rule(replace(case))
