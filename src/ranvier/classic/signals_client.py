"""``radiens.signals_client``: signals and spectra of datasets."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.classic._errors import ArgumentTypeError
from ranvier.classic._hubs import HubClient, given_dataset
from ranvier.classic._times import spec_of
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.lib.signals_snapshot import PSD, Signals
from ranvier.classic.utils.constants import ALL_SITES, DEFAULT_HUB_ID, SELECTED_SITES, SigSelect
from ranvier.classic.utils.enums import FftWindow, KeyIndex, PsdScaling, SignalType, TrsMode
from ranvier.exceptions import ConfigurationError
from ranvier.models import signals

_WINDOWS = {FftWindow.HAMMING_p01: "hamming", FftWindow.HAMMING_p05: "hamming", FftWindow.PASS_THROUGH: "rect"}
_SENTINELS = {ALL_SITES: "all", SELECTED_SITES: "selected"}
_WORDS = {"all": "all", "sel": "selected", "selected": "selected"}


class SignalsClient:
    """Reads of the datasets of a VidereClient (``videre.signals()``).

    A time range is a TimeRange, ``[start, end]`` (list or array, stream seconds), ``[seconds, nan]`` or one number: the
    last so many seconds; with ``sel_mode`` TO_HEAD the number is where to start. None is the whole recording.
    """

    def __init__(self, parent_client: HubClient) -> None:
        if not isinstance(parent_client, HubClient):
            raise ArgumentTypeError(f"signals are read through a VidereClient, not {type(parent_client).__name__}")
        self._parent = parent_client

    def get_signals(
        self, time_range: Any = None, sel_mode: TrsMode | str | int | None = None, sig_sel: SigSelect | None = None,
        dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID, *,
        sig_type: SignalType | str | int | None = None, ntv_idxs: Sequence[int] | str | None = None,
    ) -> Signals:  # fmt: skip
        """Read signals: of ``sig_sel``, or of ``sig_type`` and ``ntv_idxs`` (indices, 'all', 'sel'), or all."""
        dataset = given_dataset(dataset_metadata)
        channels = dataset.channel_metadata.model
        wanted = _selection(sig_sel, sig_type, ntv_idxs)
        spec = spec_of(time_range, sel_mode)
        if time_range is None:
            warnings.warn(f"time_range is None: reading all {dataset.TR.dur_sec:.1f} s of {dataset.id}", stacklevel=2)
        found = self._parent._on(hub_name).get_signals(dataset.id, spec, wanted)
        select = signals.SignalSpec.multi(**wanted).to_sig_select(channels)
        return Signals(found, dataset.id, channels, {kind: select.of(kind) for kind in signals.SignalType})

    def get_psd(
        self, time_range: Any = None, sel_mode: TrsMode | str | int | None = None, sig_sel: SigSelect | None = None,
        samp_freq: float | None = 2000.0, freq_range: Sequence[float] = (1, 300), collapse_freq: bool = False,
        scaling: PsdScaling | str | int = PsdScaling.ABSOLUTE, window: FftWindow | str | int = FftWindow.HAMMING_p01,
        freq_resolution: float | None = None, file: str | Path | None = None,
        dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID,
    ) -> PSD:  # fmt: skip
        """Estimate power spectra, uV^2/Hz, of amplifier channels.

        Parameters
        ----------
        samp_freq
            Hz; the signal is decimated to about that first. None (which the documentation's text calls the default) is
            the dataset's own rate, as is anything at or above it.
        freq_resolution
            Hz; None = 1.
        window
            Both Hammings are the Hamming window: what tells them apart is not documented.
        file
            Also save it there, ``.npz``.
        """
        dataset = given_dataset(dataset_metadata)
        channels, fft = dataset.channel_metadata.model, FftWindow.parse(window)
        amp = _selection(sig_sel, SignalType.AMP, None)["amp"]
        chosen = signals.SignalSpec.amp(amp).to_sig_select(channels).amp.tolist()
        found = self._parent._on(hub_name).get_psd(
            dataset.id, spec_of(time_range, sel_mode), chosen, resolution_hz=freq_resolution or 1.0,
            f_range_hz=(float(freq_range[0]), float(freq_range[1])), window=_WINDOWS[fft],
            samp_freq_hz=samp_freq if samp_freq is not None and samp_freq < dataset.TR.fs else None,
        )  # fmt: skip
        psd = PSD.of(found, fft, PsdScaling.parse(scaling), dataset.id, channels, collapse_freq=collapse_freq)
        if file is not None:
            psd.save(file)
        return psd


def _selection(sig_sel: SigSelect | None, sig_type: Any, ntv_idxs: Any) -> dict[str, Any]:
    if sig_sel is None:
        kinds = SignalType if sig_type is None else [SignalType.parse(sig_type)]
        return {kind.name.lower(): _channels("all" if ntv_idxs is None else ntv_idxs) for kind in kinds}
    if not isinstance(sig_sel, SigSelect) or sig_sel.key_idx is not KeyIndex.NTV:
        raise ConfigurationError("sig_sel is a SigSelect with key_idx NTV; make_signal_selector() makes one")
    given = zip(SignalType, sig_sel[:4], strict=True)
    return {kind.name.lower(): _channels(some) for kind, some in given if some is not None and len(some)}


def _channels(some: Any) -> str | list[int]:
    if isinstance(some, str):
        if some.strip().lower() not in _WORDS:
            raise ConfigurationError(f"{some!r} is no selection; valid: {', '.join(_WORDS)}, or native indices")
        return _WORDS[some.strip().lower()]
    found = [int(index) for index in np.atleast_1d(np.asarray(some)).tolist()]
    return _SENTINELS.get(found[0], found) if len(found) == 1 else found
