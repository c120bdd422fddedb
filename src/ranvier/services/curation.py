"""Transforms from file to file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ranvier.models.dataset import DatasetMetadata, TransformNode
from ranvier.models.output_options import OutputOptions
from ranvier.services.progress import Progress


class HubCuration(Protocol):
    """Chains of transforms that write a new recording; each runs as a job."""

    def apply(
        self,
        dataset_id: str,
        nodes: Sequence[TransformNode],
        output: Path,
        *,
        zero_phase: bool = False,
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> DatasetMetadata:
        """Apply a linear chain of transforms to a dataset, write the result and link it.

        Parameters
        ----------
        nodes
            Transforms in order of application, without source and sink nodes. Frequencies in Hz, times in stream
            seconds; SLICE_CHANNELS names the channels to keep by SYS index, references are NTV.
        output
            ``dir/base[.suffix]``; the suffix picks the format, XDAT without one.
        zero_phase
            Filter forwards and backwards, so that nothing is delayed (twice the order). Otherwise causal.
        options
            Subject and session metadata, compression.

        Returns
        -------
        DatasetMetadata
            The linked output. Its provenance names the source, every stage with its coefficients, and the version.

        Raises
        ------
        FilterDesignError
            A filter that cannot exist at this rate.
        ConfigurationError
            A chain or node that cannot be meant, or a suffix that no format owns.
        SignalSelectionError, TimeRangeError
            A channel or time that the dataset does not have.
        OutputExistsError, OutputError
            The output exists, or cannot be written.
        JobCancelledError, DataProcessingError
            Cancelled, or failed half way. Nothing is left under the output's name.
        """
        ...

    def convert(
        self,
        dataset_id: str,
        output: Path,
        *,
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> DatasetMetadata:
        """Write a dataset unchanged, in the format of ``output``'s suffix, and link it; otherwise as ``apply``."""
        ...
