"""What a sorter has learned, as one object: units in whitened components, the noise, and the signal they belong to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ranvier import _platform
from ranvier.exceptions import DatasetError
from ranvier.sorting.basis import Basis
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.templates import Templates
from ranvier.sorting.whitening import Whitening
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_FORMAT = "ranvier-units"
_VERSION = 2


def signal_digest(fs_hz: float, ntv: list[int], filters: list[dict[str, Any]]) -> str:
    """Return what tells whether two signals are the same to a sorter: rate, sites, filters."""
    text = json.dumps({"fs": fs_hz, "ntv": ntv, "filters": filters}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class TrainedUnits:
    """Units and the signal that they were learned on.

    Attributes
    ----------
    templates, whitening, window, parameters
        See there.
    labels
        ``(units,)``: label of each unit, from 1.
    positions_um
        ``(units, 2)``: x and y on the probe.
    digest
        Of the signal (see :func:`signal_digest`): units of another rate, other sites or filters are refused.
    learned_sec
        How much signal they were learned on.
    """

    templates: Templates
    whitening: Whitening
    window: Window
    parameters: SorterParameters
    labels: I32
    positions_um: F32
    digest: str
    learned_sec: float

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def waveforms_uv(self) -> F32:
        """Templates in uV, ``(units, samples, sites)``."""
        return self.whitening.in_microvolts(self.templates.waveforms)

    @cached_property
    def sites(self) -> I32:
        """Site with the largest peak in uV, ``(units,)``."""
        return np.asarray(np.abs(self.waveforms_uv).max(axis=1).argmax(axis=1), np.int32)

    def relabelled(self, labels: I32) -> TrainedUnits:
        """Return the same units under other labels."""
        return replace(self, labels=labels)

    def save(self, path: Path) -> None:
        """Write to a file of arrays (NumPy's .npz, without pickles); the path is replaced at the end, whole."""
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "digest": self.digest,
            "learned_sec": self.learned_sec,
            "parameters": asdict(self.parameters),
            "window": asdict(self.window),
            "before": self.templates.basis.before,
        }
        noise = self.templates.basis.noise
        known = np.empty((0, 0)) if noise is None else noise
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            np.savez(
                file,
                header=np.frombuffer(json.dumps(header).encode(), np.uint8),
                weights=self.templates.weights,
                components=self.templates.basis.components,
                prototypes=self.templates.basis.prototypes,
                components_noise=known,
                sites_um=self.templates.geometry.positions_um,
                positions_um=self.positions_um,
                group=self.templates.geometry.group,
                noise_uv=self.whitening.noise_uv,
                matrix=self.whitening.matrix,
                inverse=self.whitening.inverse,
                labels=self.labels,
            )
        _platform.flush_to_disk(partial)
        _platform.replace(partial, path)


def are_units(path: Path) -> bool:
    """Return whether a file is one of trained units, of whatever version; never raises."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return bool(json.loads(held["header"].tobytes())["format"] == _FORMAT)
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, BadZipFile):
        return False


def load_units(path: Path) -> TrainedUnits:
    """Read what :meth:`TrainedUnits.save` wrote.

    Raises
    ------
    DatasetError
        Another kind of file, a damaged one, or one of a newer version.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != _FORMAT:
            raise DatasetError(f"{path.name} holds {header['format']}, no trained units")
        if header["version"] > _VERSION:
            raise DatasetError(
                f"{path.name} was written by a newer version (format {header['version']}); update Ranvier"
            )
        parameters = header["parameters"]
        parameters = {k: tuple(v) if isinstance(v, list) else v for k, v in parameters.items()}
        noise = arrays.get("components_noise", np.empty((0, 0)))  # since version 2
        before = int(header["before"])
        basis = Basis(arrays["components"], arrays["prototypes"], before, noise if noise.size else None)
        geometry = Geometry(arrays["sites_um"], arrays["group"])
        return TrainedUnits(
            Templates(arrays["weights"], basis, geometry),
            Whitening(arrays["noise_uv"], arrays["matrix"], arrays["inverse"]),
            Window(**header["window"]),
            SorterParameters(**parameters),
            arrays["labels"],
            arrays["positions_um"],
            header["digest"],
            float(header["learned_sec"]),
        )
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file {path}") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{path.name} is no file of trained units, or a damaged one: {error}") from error
