"""Doing again what provenance says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ranvier.models.sessions import ReplayReport
from ranvier.services.progress import Progress


class HubReplays(Protocol):
    """Files made again from their own record."""

    def replay(
        self,
        dataset_id: str,
        *,
        output: Path | None = None,
        moved: Mapping[str, str] | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> ReplayReport:
        """Make a dataset again from the recorded sources, by the recorded stages, and compare the two.

        Samples, counters, gaps, events and spikes are compared; on the CPU type and with the versions of the record
        they must be equal to the last bit, otherwise within 1e-6 of full scale (int16 outputs: one count).

        Parameters
        ----------
        output
            Keep the repetition as ``dir/base[.suffix]`` of the same format; None compares and removes it.
        moved
            Where sources are now: recorded path, or a folder that it lies in, to the new one.

        Raises
        ------
        CapabilityError
            The file does not say how it was made; it was recorded, not made; a stage that this version does not have.
        DatasetError
            A source is gone, and its own record does not tell how to make it again.
        RecordingError
            A source is not what it was (size, or the content that its fingerprint samples).
        OutputExistsError, OutputError, JobCancelledError, DataProcessingError
            As for transforms.
        """
        ...
