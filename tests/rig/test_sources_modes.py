"""Modes: one table, which the documentation prints; what cannot be driven says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ranvier.exceptions import CapabilityError, ConfigurationError, NotARecordingError
from ranvier.models.status import BackboneMode
from ranvier.rig.sources import MODES, make_source
from ranvier.rig.sources.modes import Kind, markdown_rows
from ranvier.simulation.live import SIGNAL_MODELS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "sources.md"


def test_every_mode_of_the_api_is_in_the_table() -> None:
    assert set(MODES) == set(BackboneMode)
    kinds = [entry.kind for entry in MODES.values()]
    assert kinds.count(Kind.SIMULATED) == 7
    assert kinds.count(Kind.REPLAYED) == 1
    for entry in MODES.values():
        assert bool(entry.missing) == (entry.kind == Kind.INSTRUMENT)
        assert bool(entry.plays) == (entry.kind != Kind.INSTRUMENT)
        assert (entry.signal in SIGNAL_MODELS) == (entry.kind == Kind.SIMULATED)


def test_documentation_prints_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    printed = text.split("<!-- modes: begin -->")[1].split("<!-- modes: end -->")[0]
    assert printed.strip().splitlines() == list(markdown_rows())


@pytest.mark.parametrize("mode", [m for m, e in MODES.items() if e.kind == Kind.INSTRUMENT], ids=lambda m: m.name)
def test_instruments_say_what_is_missing(mode: BackboneMode) -> None:
    with pytest.raises(CapabilityError) as caught:
        make_source(mode)
    text = str(caught.value)
    assert mode.name in text
    assert MODES[mode].missing in text
    assert "SMARTBOX_SIM_GEN_SPIKES" in text


def test_recordings_belong_to_the_data_source_mode(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="replay="):
        make_source(BackboneMode.SMARTBOX_SIM_DATASOURCE)
    with pytest.raises(ConfigurationError, match="SMARTBOX_SIM_DATASOURCE"):
        make_source(BackboneMode.SMARTBOX_SIM_GEN_SINE, replay=tmp_path)
    with pytest.raises(NotARecordingError, match="does not exist"):
        make_source(BackboneMode.SMARTBOX_SIM_DATASOURCE, replay=tmp_path / "nothing.xdat")
