"""What a column of a recording is: type, index, name, unit, port, probe, site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import DatasetError
from ranvier.models.channels import COLOR_GROUP_UNSET, SITE_NUM_UNSET, SignalUnits
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType

NATIVE_UNIT: dict[SignalType, SignalUnits] = {
    SignalType.AMP: SignalUnits.MICROVOLTS,
    SignalType.AIN: SignalUnits.VOLTS,
    SignalType.DIN: SignalUnits.BINARY,
    SignalType.DOUT: SignalUnits.BINARY,
}

#: Names that XDAT and the API give channels of each type: pri_0, aux_0, din_0, dout_0.
NAME_PREFIX: dict[SignalType, str] = {
    SignalType.AMP: "pri",
    SignalType.AIN: "aux",
    SignalType.DIN: "din",
    SignalType.DOUT: "dout",
}

#: Index spaces count types in this order, and files store columns in it.
TYPE_ORDER: tuple[SignalType, ...] = (SignalType.AMP, SignalType.AIN, SignalType.DIN, SignalType.DOUT)


@dataclass(frozen=True, slots=True)
class Site:
    """One electrode contact; all lengths in micrometres.

    Probe coordinates (scs): origin at the probe, y grows from the tip up. Tissue coordinates (tcs): probe plus
    ``scs_to_tcs``.
    """

    x_um: float
    y_um: float
    z_um: float = 0.0
    shape: str = "circle"
    area_um2: float = 0.0
    width_um: float = 0.0
    height_um: float = 0.0
    scs_to_tcs_um: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def tissue_um(self) -> tuple[float, float, float]:
        """Position in tissue coordinates."""
        dx, dy, dz = self.scs_to_tcs_um
        return (self.x_um + dx, self.y_um + dy, self.z_um + dz)


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of a recording.

    ``ntv`` is its position per type in the acquisition stream, ``sys`` its position over all types; both survive
    slicing. Its position in *this* recording per type (DATA) is what :class:`ChannelTable` derives.
    Physical value = ``gain * count + offset`` in ``unit``, where the file stores counts.

    ``skew_samples``: how much later than its frame's nominal time (counter / fs) the converter sampled this channel,
    in sample periods of the recording that holds the column: 0.5 is half a period late. 0 where it was sampled on
    time or the format does not tell. It belongs to the stored samples: whoever changes the rate by a factor
    multiplies it, whoever shifts the samples back to nominal time sets it to 0.
    """

    type: SignalType
    ntv: int
    sys: int
    name: str
    ntv_name: str = ""
    unit: SignalUnits = SignalUnits.UNKNOWN
    unit_source: str = "file"  # "file", "assumed" or "user"
    gain: float = 1.0
    offset: float = 0.0
    port: Port | None = None
    headstage_id: str = ""
    probe_id: str = ""
    probe_idx: int | None = None
    shank: int = 0
    contact_id: str = ""
    site_num: int = SITE_NUM_UNSET  # 1-based number of the site on its probe
    site: Site | None = None
    selected: bool = True
    color_group: int = COLOR_GROUP_UNSET
    impedance_ohm: float | None = None
    skew_samples: float = 0.0


@dataclass(frozen=True, slots=True)
class ChannelTable:
    """The columns of one recording, in file order; amp, ain, din, dout follow each other.

    Attributes
    ----------
    geometry_source
        Where the site positions come from: ``"file"``, ``"probe name"``, ``"probeinterface"``, ``"assumed"``.
    wiring_verified
        True where the map from site to amplifier channel is known; False where identity was assumed.
    """

    channels: tuple[Channel, ...]
    geometry_source: str = "assumed"
    wiring_verified: bool = False
    _columns: dict[SignalType, npt.NDArray[np.int64]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        order = [TYPE_ORDER.index(c.type) for c in self.channels]
        if order != sorted(order):
            raise DatasetError("channels of a recording must be ordered amp, ain, din, dout")
        repeated = [key for key, n in Counter((c.type, c.ntv) for c in self.channels).items() if n > 1]
        if repeated:
            raise DatasetError(f"native channel indices occur twice: {repeated[:5]}")
        columns = {
            kind: np.array([i for i, c in enumerate(self.channels) if c.type == kind], dtype=np.int64)
            for kind in TYPE_ORDER
        }
        object.__setattr__(self, "_columns", columns)

    def __len__(self) -> int:
        return len(self.channels)

    def __iter__(self) -> Iterator[Channel]:
        return iter(self.channels)

    def __getitem__(self, column: int) -> Channel:
        return self.channels[column]

    def columns_of(self, kind: SignalType) -> npt.NDArray[np.int64]:
        """Return the columns that hold one signal type, in file order (that order is the DATA index space)."""
        return self._columns[kind]

    def count(self, kind: SignalType) -> int:
        """Return how many channels of one type there are."""
        return len(self._columns[kind])

    def columns_for_ntv(self, kind: SignalType, ntv: Iterable[int]) -> npt.NDArray[np.int64]:
        """Return the columns of native indices, in the order asked; DatasetError names the unknown ones."""
        known = {self.channels[c].ntv: int(c) for c in self._columns[kind]}
        wanted = [int(i) for i in ntv]
        unknown = [i for i in wanted if i not in known]
        if unknown:
            raise DatasetError(
                f"no {kind.name} channel with native index {unknown[:8]}; this dataset has "
                f"{_ranges(sorted(known)) or 'none of that type'}"
            )
        return np.array([known[i] for i in wanted], dtype=np.int64)

    @property
    def gains(self) -> npt.NDArray[np.float64]:
        """Gain of each column."""
        return np.array([c.gain for c in self.channels], dtype=np.float64)

    @property
    def offsets(self) -> npt.NDArray[np.float64]:
        """Offset of each column, in physical units."""
        return np.array([c.offset for c in self.channels], dtype=np.float64)

    @property
    def skew_samples(self) -> npt.NDArray[np.float64]:
        """How much later than its frame's nominal time each column was sampled, in sample periods."""
        return np.array([c.skew_samples for c in self.channels], dtype=np.float64)

    @property
    def is_digital(self) -> npt.NDArray[np.bool_]:
        """Which columns are digital (missing samples there read as 0, elsewhere as NaN)."""
        return np.array([c.type in (SignalType.DIN, SignalType.DOUT) for c in self.channels], dtype=np.bool_)

    def take(self, columns: Sequence[int] | npt.NDArray[np.int64]) -> ChannelTable:
        """Return the table of some columns (they keep their native and system indices)."""
        return replace(self, channels=tuple(self.channels[int(c)] for c in columns))

    def with_channels(self, channels: Iterable[Channel]) -> ChannelTable:
        """Return a table with other channels and the same provenance of geometry and wiring."""
        return replace(self, channels=tuple(channels))


def plain_channels(
    amp: int = 0, ain: int = 0, din: int = 0, dout: int = 0, *, port: Port | None = Port.A, unit_source: str = "file"
) -> ChannelTable:
    """Return channels with default names and no geometry: pri_0.., aux_0.., din_0.., dout_0.."""
    channels = []
    sys = 0
    for kind, n in zip(TYPE_ORDER, (amp, ain, din, dout), strict=True):
        for ntv in range(n):
            name = f"{NAME_PREFIX[kind]}_{ntv}"
            is_amp = kind == SignalType.AMP
            channels.append(
                Channel(
                    type=kind,
                    ntv=ntv,
                    sys=sys,
                    name=name,
                    ntv_name=f"port_{(port or Port.A).name}_{ntv}" if is_amp else name,
                    unit=NATIVE_UNIT[kind],
                    unit_source=unit_source,
                    port=port if is_amp else None,
                )
            )
            sys += 1
    return ChannelTable(tuple(channels))


def _ranges(values: list[int]) -> str:
    """Write sorted integers as ``0-31, 40``."""
    parts: list[str] = []
    i = 0
    while i < len(values):
        j = i
        while j + 1 < len(values) and values[j + 1] == values[j] + 1:
            j += 1
        parts.append(str(values[i]) if i == j else f"{values[i]}-{values[j]}")
        i = j + 1
    return ", ".join(parts)
