"""``radiens.lib.signals_snapshot``: signals, and spectra."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.classic._errors import ArgumentTypeError
from ranvier.classic.lib import _from_models as convert
from ranvier.classic.lib.channel_metadata import ChannelMetadata, restricted
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.utils.constants import SignalArrays, TimeRange
from ranvier.classic.utils.enums import FftWindow, PsdScaling, SignalType
from ranvier.classic.utils.util import is_concatable_trs, make_time_range
from ranvier.exceptions import ConfigurationError, TimeRangeError
from ranvier.models import channels, signals
from ranvier.models.spectra import PsdResult

_FIELDS = SignalArrays._fields
_UNITS = "uV squared per Hz"


class Signals:
    """Signals of a time range.

    Attributes
    ----------
    signals
        ``amp`` (uV), ``gpio_ain`` (V), ``gpio_din``, ``gpio_dout`` (0/1): float64 ``(channels, samples)``, rows in the
        order of ``channel_metadata.index(type)``; no rows for types that were not asked for.
    """

    def __init__(
        self,
        arrays: signals.SignalArrays,
        dsource_id: str,
        known: channels.ChannelMetadata,
        ntv: dict[signals.SignalType, Any],
    ) -> None:
        if arrays.time_range is None:
            raise ConfigurationError("signals without a time range")
        self._time_range = convert.time_range(arrays.time_range)
        n = self._time_range.N
        given = (getattr(arrays, name) for name in _FIELDS)
        self.signals = SignalArrays(*(np.empty((0, n)) if array is None else array for array in given))
        self._dsource_id = dsource_id
        self._known = known
        self._ntv = ntv

    @property
    def time_range(self) -> TimeRange:
        """The range that was served: a request partly outside the recording is clipped."""
        return self._time_range

    @property
    def TR(self) -> TimeRange:  # noqa: N802  # the documented name
        """The range that was served."""
        return self._time_range

    @property
    def attributes(self) -> dict[str, Any]:
        """The id of the dataset."""
        return {"dsource_id": self._dsource_id}

    @cached_property
    def channel_metadata(self) -> ChannelMetadata:
        """The channels of the rows, in their order."""
        return ChannelMetadata(restricted(self._known, self._ntv))

    def concat(self, other: Signals) -> None:
        """Append signals that follow these without a gap, in place.

        Raises
        ------
        ArgumentTypeError
            Anything but Signals (a TypeError).
        TimeRangeError, ConfigurationError
            The other's first sample is not the one behind this last one; other channels (ValueErrors).
        """
        if not isinstance(other, Signals):
            raise ArgumentTypeError(f"Signals are joined to Signals, not {type(other).__name__}")
        if not is_concatable_trs([self.time_range, other.time_range]):
            raise TimeRangeError(
                f"samples {list(other.time_range.timestamp)} at {other.time_range.fs} Hz do not follow "
                f"{list(self.time_range.timestamp)} at {self.time_range.fs} Hz"
            )
        ours, theirs = (
            {kind: list(map(int, ntv)) for kind, ntv in one._ntv.items() if len(ntv)} for one in (self, other)
        )
        if ours != theirs:
            raise ConfigurationError("the signals to be joined are of other channels")
        pairs = zip(self.signals, other.signals, strict=True)
        self.signals = SignalArrays(*(np.concatenate(pair, axis=1) for pair in pairs))
        self._time_range = make_time_range(
            timestamp=(self.time_range.timestamp[0], other.time_range.timestamp[1]),
            fs=self.time_range.fs,
            walltime=self.time_range.walltime,
        )

    def __repr__(self) -> str:
        shapes = {name: getattr(self.signals, name).shape for name in _FIELDS}
        return convert.shown(self, dsource_id=self._dsource_id, time_range=convert.text(self.time_range), **shapes)


class PSD:
    """Power spectral densities.

    Attributes
    ----------
    psd
        uV^2/Hz, float64 ``(channels, frequencies)``. With ``collapse_freq`` the power over ``freq_range``, uV^2,
        float64 ``(channels, 1)``.
    frequencies
        Hz, float64 ``(frequencies,)``.
    freq_range, freq_bin_width
        Hz.
    """

    def __init__(
        self,
        *,
        psd: npt.NDArray[np.float64],
        frequencies: npt.NDArray[np.float64],
        freq_range: npt.NDArray[np.float64],
        freq_bin_width: float,
        window_type: FftWindow,
        scaling: PsdScaling,
        time_range: TimeRange,
        dsource_id: str,
        channel_metadata: ChannelMetadata,
    ) -> None:
        self.psd = psd
        self.frequencies = frequencies
        self.freq_range = freq_range
        self.freq_bin_width = freq_bin_width
        self.window_type = window_type
        self.scaling = scaling
        self.time_range = time_range
        self.dsource_id = dsource_id
        self.channel_metadata = channel_metadata

    @classmethod
    def of(
        cls,
        found: PsdResult,
        window: FftWindow,
        scaling: PsdScaling,
        dsource_id: str,
        known: channels.ChannelMetadata,
        *,
        collapse_freq: bool = False,
    ) -> PSD:
        """Return a typed result as the classic container (an addition to the documented API)."""
        asked = found.query.f_range_hz
        edges = asked if asked is not None else (found.frequencies_hz[0], found.frequencies_hz[-1])
        return cls(
            psd=found.collapsed()[:, np.newaxis] if collapse_freq else found.density_uv2_hz,
            frequencies=found.frequencies_hz,
            freq_range=np.array(edges, dtype=np.float64),
            freq_bin_width=found.resolution_hz,
            window_type=window,
            scaling=scaling,
            time_range=convert.time_range(found.time_range),
            dsource_id=dsource_id,
            channel_metadata=ChannelMetadata(restricted(known, {signals.SignalType.AMP: found.channel_indices})),
        )

    @property
    def TR(self) -> TimeRange:  # noqa: N802  # the documented name
        """The range that the spectra are of."""
        return self.time_range

    @property
    def units(self) -> dict[SignalType, str]:
        """The unit of the densities, by type."""
        return {SignalType.AMP: _UNITS}

    @property
    def attributes(self) -> dict[str, Any]:
        """What was computed, as a dict."""
        return {
            "dsource_id": self.dsource_id,
            "wdw_type": self.window_type,
            "scaling": self.scaling,
            "freq_bin_width": self.freq_bin_width,
        }

    def save(self, file: str | Path) -> None:
        """Write an ``.npz`` file (the suffix is added where it is missing); one that is there is replaced."""
        np.savez(
            Path(file).expanduser(),
            psd=self.psd,
            freq=self.frequencies,
            freq_range=self.freq_range,
            freq_bin_width=self.freq_bin_width,
            dsource_id=self.dsource_id,
            wdw_type=self.window_type.value,
            scaling=self.scaling.value,
            time_range_sec=self.time_range.sec,
            time_range_ts=self.time_range.timestamp,
            ntv_idxs=np.array(self.channel_metadata.index(SignalType.AMP).ntv, dtype=np.int64),
        )

    @staticmethod
    def load(file: str | Path, dataset_metadata: DatasetMetadata) -> PSD:
        """Read a file that :meth:`save` wrote; ConfigurationError where it is not of this dataset or damaged."""
        with np.load(Path(file).expanduser(), allow_pickle=False) as found:
            known = dataset_metadata.channel_metadata.model
            if str(found["dsource_id"]) != dataset_metadata.id:
                raise ConfigurationError(f"{file} is of dataset {found['dsource_id']}, not {dataset_metadata.id}")
            if found["psd"].shape not in ((len(found["ntv_idxs"]), n) for n in (1, len(found["freq"]))):
                raise ConfigurationError(
                    f"{file}: spectra {found['psd'].shape} do not fit {len(found['ntv_idxs'])} channels and "
                    f"{len(found['freq'])} frequencies"
                )
            return PSD(
                psd=found["psd"],
                frequencies=found["freq"],
                freq_range=found["freq_range"],
                freq_bin_width=float(found["freq_bin_width"]),
                window_type=FftWindow(int(found["wdw_type"])),
                scaling=PsdScaling(int(found["scaling"])),
                time_range=make_time_range(timestamp=found["time_range_ts"], fs=dataset_metadata.TR.fs),
                dsource_id=dataset_metadata.id,
                channel_metadata=ChannelMetadata(restricted(known, {signals.SignalType.AMP: found["ntv_idxs"]})),
            )

    def __repr__(self) -> str:
        return convert.shown(
            self,
            dsource_id=self.dsource_id,
            psd=self.psd.shape,
            freq_range=self.freq_range.tolist(),
            freq_bin_width=self.freq_bin_width,
        )
