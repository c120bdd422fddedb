"""Real recordings written as NWB and read back: every sample, every event, every channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.readers import check_reader, same_events
from ranvier.recordings import Header, open_session
from ranvier.recordings.formats.nwb_sink import NwbSink

SOURCES = ["intan/sampledata.rhd", "openephys_binary_v0.6.7"]


def convert(source, stream, destination, *, counts):
    header = Header(stream.fs, stream.channels, stream.start, stream.walltime, extra=source.extra)
    with NwbSink(destination, header) as sink:
        for block in stream.blocks(5000):
            stop = block.start + len(block)
            sink.write(stream.read_counts(block.start, stop) if counts else block)
        sink.write_events(source.events[source.stream_name(stream)])
        for name in source.spike_trains:
            sink.write_spike_trains(name, source.spike_trains[name])
        return sink.commit()


@pytest.mark.samples
@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("name", SOURCES)
def test_real_recordings_as_nwb(samples: Path, tmp_path, name, counts):
    import pynwb

    with open_session(samples / name) as source:
        stream = source.stream()
        path = convert(source, stream, tmp_path / "out", counts=counts)
        with open_session(path) as session:
            copy = session.stream()
            assert (copy.fs, copy.start, copy.stop, copy.walltime) == (
                stream.fs,
                stream.start,
                stream.stop,
                stream.walltime,
            )
            np.testing.assert_array_equal(
                copy.read(copy.start, copy.stop).samples, stream.read(stream.start, stream.stop).samples
            )
            assert [(c.name, c.ntv, c.type, c.port) for c in copy.channels] == [
                (c.name, c.ntv, c.type, c.port) for c in stream.channels
            ]
            same_events(session.events["ElectricalSeries"], source.events[source.stream_name(stream)])
            for train in source.spike_trains:
                got, wanted = session.spike_trains[train], source.spike_trains[train]
                np.testing.assert_array_equal(got.counter, wanted.counter)
                np.testing.assert_array_equal(got.site, wanted.site)
                np.testing.assert_array_equal(got.waveforms, wanted.waveforms)
            assert set(source.extra) < set(session.extra)
        check_reader(lambda: open_session(path), files=[path])
    assert pynwb.validate(path=str(path)) == []
