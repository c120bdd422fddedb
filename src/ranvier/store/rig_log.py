"""What a rig must remember: impedances of probes, and every change of the safety limits."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from ranvier.store.data import from_json, parsing, storable, to_json, utc_now
from ranvier.store.database import Database


@dataclass(frozen=True, slots=True)
class ImpedanceScan:
    """One scan of a port.

    Attributes
    ----------
    probe_id, headstage_id
        What was on the port, "" where nobody had said.
    source
        Name of the instrument; simulated ones say so.
    values
        Magnitude (ohm) and phase (degrees) by native (NTV) channel index.
    """

    measured_utc: str
    port: str
    probe_id: str
    headstage_id: str
    source: str
    values: Mapping[int, tuple[float, float]]


class Impedances:
    """Impedance scans, in the order of measuring."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        values: Mapping[int, tuple[float, float]],
        *,
        port: str,
        probe_id: str = "",
        headstage_id: str = "",
        source: str = "",
    ) -> ImpedanceScan:
        """Keep a scan, dated now."""
        scan = ImpedanceScan(
            utc_now(), port, storable(probe_id), storable(headstage_id), storable(source), dict(values)
        )
        text = to_json([[ntv, ohm, deg] for ntv, (ohm, deg) in sorted(values.items())], "impedances")
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO impedances (measured_utc, port, probe_id, headstage_id, source, scan) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (scan.measured_utc, port, scan.probe_id, scan.headstage_id, scan.source, text),
            )
        return scan

    def all(self) -> list[ImpedanceScan]:
        """Return every scan, oldest first."""
        return self._database.fetch(_scan, "SELECT * FROM impedances ORDER BY id")


@dataclass(frozen=True, slots=True)
class SafetyChange:
    """One change of the limits of stimulation: when, why, what it replaced and what held from then on."""

    changed_utc: str
    reason: str
    old: Mapping[str, float]
    new: Mapping[str, float]


class SafetyLog:
    """Changes of the limits of stimulation, in their order. Nothing here is ever removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, reason: str, old: Mapping[str, float], new: Mapping[str, float]) -> SafetyChange:
        """Write a change down, dated now; it is on the disk when this returns."""
        change = SafetyChange(utc_now(), storable(reason), dict(old), dict(new))
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO safety_changes (changed_utc, reason, old, new) VALUES (?, ?, ?, ?)",
                (change.changed_utc, change.reason, to_json(change.old, "limits"), to_json(change.new, "limits")),
            )
        return change

    def all(self) -> list[SafetyChange]:
        """Return every change, oldest first."""
        return self._database.fetch(_change, "SELECT * FROM safety_changes ORDER BY id")


def _scan(row: sqlite3.Row) -> ImpedanceScan:
    with parsing(f"impedance scan {row['id']}"):
        values = {int(ntv): (float(ohm), float(deg)) for ntv, ohm, deg in from_json(row["scan"])}
        return ImpedanceScan(
            row["measured_utc"], row["port"], row["probe_id"], row["headstage_id"], row["source"], values
        )


def _change(row: sqlite3.Row) -> SafetyChange:
    with parsing(f"safety change {row['id']}"):
        return SafetyChange(row["changed_utc"], row["reason"], from_json(row["old"]), from_json(row["new"]))
