"""Transforms from file to file, as both file clients have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Unpack

from ranvier.clients._output_options import CompressionInput, MetadataInput, OutputKeywords, output_options
from ranvier.clients._progress import shown
from ranvier.clients._sessions import SessionsClient
from ranvier.exceptions import ConfigurationError
from ranvier.models._coerce import output_path as named
from ranvier.models.dataset import DatasetMetadata, TransformNode
from ranvier.models.dsp import FilterResponse
from ranvier.models.flex import FlexDataset
from ranvier.models.transform_params import FamilyInput

Output = str | Path


class TransformsClient(SessionsClient):
    """One filter, reference or slice from a dataset into a new recording.

    All of them take ``output_path`` as ``dir/base[.suffix]``: the suffix picks the format (``.xdat``, ``.nwb``,
    ``.nex5``, ``.h5``, ``.csv``, ``.bin``), XDAT without one. They return the linked output, write provenance, refuse
    an output that exists (OutputExistsError) unless ``force=True``, and leave nothing under the output's name when they
    fail or are cancelled.

    Filters are causal Butterworth with zero initial state; ``order`` is the N of scipy.signal.butter, 4 by default;
    ``zero_phase=True`` filters forwards and backwards. ``family`` names another design: ``chebyshev_i`` (its pass-band
    falls by ``ripple_db``, 0.5 by default), ``chebyshev_ii`` (its stop-band is ``attenuation_db`` down, 40 by default),
    ``elliptic`` (both) or ``bessel``. ``get_filter_response`` tells what a filter will do.

    Every call takes ``metadata`` and ``compression`` of its output, as ``convert`` does.
    """

    def highpass(
        self, dataset: FlexDataset, frequency: float, output_path: Output, *, order: int | None = None,
        zero_phase: bool = False, family: FamilyInput = None, ripple_db: float | None = None,
        attenuation_db: float | None = None, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Keep what lies above ``frequency`` (Hz)."""
        node = TransformNode.highpass(
            frequency, order, family=family, ripple_db=ripple_db, attenuation_db=attenuation_db
        )
        return self._transform(dataset, node, output_path, zero_phase, force, **options)

    def lowpass(
        self, dataset: FlexDataset, frequency: float, output_path: Output, *, order: int | None = None,
        zero_phase: bool = False, family: FamilyInput = None, ripple_db: float | None = None,
        attenuation_db: float | None = None, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Keep what lies below ``frequency`` (Hz)."""
        node = TransformNode.lowpass(
            frequency, order, family=family, ripple_db=ripple_db, attenuation_db=attenuation_db
        )
        return self._transform(dataset, node, output_path, zero_phase, force, **options)

    def bandpass(
        self, dataset: FlexDataset, low_freq: float, high_freq: float, output_path: Output, *,
        order: int | None = None, zero_phase: bool = False, family: FamilyInput = None,
        ripple_db: float | None = None, attenuation_db: float | None = None, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Keep what lies between ``low_freq`` and ``high_freq`` (Hz)."""
        node = TransformNode.bandpass(
            low_freq, high_freq, order, family=family, ripple_db=ripple_db, attenuation_db=attenuation_db
        )
        return self._transform(dataset, node, output_path, zero_phase, force, **options)

    def bandstop(
        self, dataset: FlexDataset, low_freq: float, high_freq: float, output_path: Output, *,
        order: int | None = None, zero_phase: bool = False, family: FamilyInput = None,
        ripple_db: float | None = None, attenuation_db: float | None = None, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Remove what lies between ``low_freq`` and ``high_freq`` (Hz)."""
        node = TransformNode.bandstop(
            low_freq, high_freq, order, family=family, ripple_db=ripple_db, attenuation_db=attenuation_db
        )
        return self._transform(dataset, node, output_path, zero_phase, force, **options)

    def notch(
        self, dataset: FlexDataset, frequency: float, bandwidth: float, output_path: Output, *,
        zero_phase: bool = False, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Remove one frequency (Hz): second order, ``bandwidth`` (Hz) wide at -3 dB."""
        return self._transform(
            dataset, TransformNode.notch(frequency, bandwidth), output_path, zero_phase, force, **options
        )

    def car(
        self, dataset: FlexDataset, output_path: Output, *, operator: Literal["mean", "median"] = "mean",
        groups: Literal["all", "port", "probe", "shank"] = "all", force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Common average reference: subtract, at each sample, the mean over the amplifier channels.

        (A text of the older classic clients says sum; the mean is what every release subtracts.)

        ``operator="median"`` takes the exact median; ``groups`` the channels of each port, probe or shank for
        themselves.
        """
        return self._transform(
            dataset, TransformNode.car(operator=operator, groups=groups), output_path, False, force, **options
        )

    def virtual_ref(
        self, dataset: FlexDataset, ref_channel: int, output_path: Output, *, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Subtract one amplifier channel (native index) from every amplifier channel; the reference becomes 0."""
        return self._transform(dataset, TransformNode.virtual_ref(ref_channel), output_path, False, force, **options)

    def paired_ref(
        self, dataset: FlexDataset, ref_channel: int, target_channel: int, output_path: Output, *,
        force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Replace ``target_channel`` by target minus reference (native indices); the reference becomes 0."""
        node = TransformNode.paired_ref(ref_channel, target_channel)
        return self._transform(dataset, node, output_path, False, force, **options)

    def slice_time(
        self, dataset: FlexDataset, start_sec: float, end_sec: float, output_path: Output, *, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Keep stream seconds ``[start_sec, end_sec)``; samples keep their counters."""
        return self._transform(
            dataset, TransformNode.slice_time(start_sec, end_sec), output_path, False, force, **options
        )

    def slice_channels(
        self, dataset: FlexDataset, channels: Sequence[int], output_path: Output, *, force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Keep the channels with these system (SYS) indices: one count over amplifier, analog, digital in and out.

        They come in the order of the recording, and keep their native and system indices. What the older classic
        documentation calls removing is keeping here, as on the wire.
        """
        return self._transform(dataset, TransformNode.slice_channels(channels), output_path, False, force, **options)

    def downsample(
        self, dataset: FlexDataset, factor: int, output_path: Output, *,
        operator: Literal["antialiased", "plain"] = "antialiased", force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Divide the sampling rate by ``factor``; stream time stays, sample k stands at the source's k * factor.

        Unlike the documented reference server this one filters first, without delay: gain 1 up to 0.8 of the new
        Nyquist frequency, 96 dB down from there on, so that nothing folds into the output. ``operator="plain"`` keeps
        every ``factor``-th sample unfiltered, as that server does. Digital channels are never filtered; a pulse between
        two kept samples vanishes from them, and the notes of the provenance say how many edges did.
        """
        node = TransformNode.downsample(factor, operator=operator)
        return self._transform(dataset, node, output_path, False, force, **options)

    def blank_artifacts(
        self, dataset: FlexDataset, output_path: Output, *, source: str | None = None, line: int | None = None,
        state: int | None = 1, counters: Sequence[int] | None = None, before_ms: float = 0.0, after_ms: float = 1.0,
        mode: Literal["linear", "hold", "nan", "zero"] = "linear", channels: Sequence[int] | None = None,
        force: bool = False,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        """Replace the samples around stimuli or other events, before any filter smears them (an addition).

        Events are the recording's, by ``source``, ``line`` and ``state`` (None: any; rising edges by default), as
        ``get_events`` gives them, or ``counters``. From ``before_ms`` before to ``after_ms`` after each, the amplifier
        channels (all, or ``channels``: native indices) get a line from the last good sample to the next one
        (``linear``), the last good one (``hold``), 0 (``zero``) or nothing (``nan``).
        """
        node = TransformNode.blank_artifacts(
            source=source, line=line, state=state, counters=counters, before_ms=before_ms, after_ms=after_ms,
            mode=mode, channels=channels,
        )  # fmt: skip
        return self._transform(dataset, node, output_path, False, force, **options)

    def correct_skew(
        self, dataset: FlexDataset, output_path: Output, *, force: bool = False, **options: Unpack[OutputKeywords]
    ) -> DatasetMetadata:
        """Take back by how much each channel was sampled later than its frame says (an addition).

        Converters that serve several channels in turn sample them one after the other: up to a sample period apart on
        Neuropixels, which a common reference cannot take out at high frequencies. The recording tells how late each
        channel is; ConfigurationError where it tells nothing.
        """
        return self._transform(dataset, TransformNode.correct_skew(), output_path, False, force, **options)

    def get_filter_response(
        self, dataset: FlexDataset, node: TransformNode, *, zero_phase: bool = False
    ) -> FilterResponse:
        """Tell what a filter does at a dataset's sampling rate, before anything is filtered (an addition).

        ``get_filter_response(ds, TransformNode.highpass(300))`` gives corners, gains in dB, the longest delay, the time
        to settle, and the curve.
        """
        return self._hub.dsp.response(self._id(dataset), node, zero_phase=zero_phase)

    def convert(
        self, dataset: FlexDataset, output_path: Output, *, metadata: MetadataInput = None,
        compression: CompressionInput = "", force: bool = False,
    ) -> DatasetMetadata:  # fmt: skip
        """Write a recording unchanged in the format of the suffix, and link it (an addition to the documented API).

        Parameters
        ----------
        metadata
            Subject and session (NWB): a SessionMetadata, a dict of its fields, or the path of a YAML file with them.
        compression
            ``gzip`` or ``lzf``, both without loss (NWB, HDF5); none by default.
        """
        source = self._metadata(dataset)
        options = output_options(metadata, compression)
        with shown(self._progress, f"converting: {source.base_name}") as progress:
            found = self._hub.curation.convert(
                source.id, named(output_path), options=options, force=force, progress=progress
            )
        self._mine[found.id] = None
        return found

    def apply_transforms(
        self, dataset: FlexDataset, nodes: Sequence[TransformNode], output_path: Output, *,
        zero_phase: bool = False, metadata: MetadataInput = None, compression: CompressionInput = "",
        force: bool = False,
    ) -> DatasetMetadata:  # fmt: skip
        """Apply several transforms, in their order, in one pass over the data (an addition to the documented API).

        The result is that of one call per transform: a slice of time behind a filter cuts what the filter gave, one in
        front of it is what the filter starts with. ``metadata`` and ``compression`` are as in ``convert``.
        """
        wrong = [node for node in nodes if not isinstance(node, TransformNode)]
        if wrong:
            raise ConfigurationError(f"{wrong[0]!r:.80} is no transform; make one with TransformNode.bandpass(...)")
        source = self._metadata(dataset)
        options = output_options(metadata, compression)
        what = " + ".join(node.type.name.lower().replace("_", " ") for node in nodes) or "converting"
        with shown(self._progress, f"{what}: {source.base_name}") as progress:
            found = self._hub.curation.apply(
                source.id, list(nodes), named(output_path), zero_phase=zero_phase, options=options, force=force,
                progress=progress,
            )  # fmt: skip
        self._mine[found.id] = None
        return found

    def _transform(
        self, dataset: FlexDataset, node: TransformNode, output_path: Output, zero_phase: bool, force: bool,
        **options: Unpack[OutputKeywords],
    ) -> DatasetMetadata:  # fmt: skip
        return self.apply_transforms(dataset, [node], output_path, zero_phase=zero_phase, force=force, **options)
