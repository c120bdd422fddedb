"""What a user may ask of an output beyond its format (additions to the API)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, field_validator

from ranvier.models._base import OwnModel

__all__ = ["OutputOptions", "SessionMetadata", "SubjectMetadata"]


class SubjectMetadata(OwnModel):
    """The animal, in the terms of NWB and DANDI.

    Attributes
    ----------
    species
        Latin binomial, e.g. ``Mus musculus``.
    sex
        M, F, O (other) or U (unknown).
    age
        ISO 8601 duration, e.g. ``P90D`` or ``P12W``; a date of birth may be given instead.
    weight
        With its unit, e.g. ``0.025 kg``.
    """

    subject_id: str
    species: str = ""
    sex: Literal["M", "F", "O", "U"] = "U"
    age: str = ""
    date_of_birth: datetime | None = None
    strain: str = ""
    genotype: str = ""
    weight: str = ""
    description: str = ""

    @field_validator("age")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        if value and not value.startswith("P"):
            raise ValueError(f"age {value!r} must be an ISO 8601 duration such as P90D (90 days) or P12W (12 weeks)")
        return value


class SessionMetadata(OwnModel):
    """What a recording does not know about itself, and archives ask for; one YAML file states it.

    Attributes
    ----------
    session_start_time
        Only where the recording does not tell when it was made, or tells it wrongly.
    timezone
        IANA name (``Europe/Berlin``) in which the start time is written; UTC without one.
    electrode_location
        Brain region, written for every electrode.
    """

    subject: SubjectMetadata | None = None
    session_id: str = ""
    session_description: str = ""
    session_start_time: datetime | None = None
    timezone: str = ""
    identifier: str = ""
    experimenter: list[str] = Field(default_factory=list)
    lab: str = ""
    institution: str = ""
    experiment_description: str = ""
    keywords: list[str] = Field(default_factory=list)
    related_publications: list[str] = Field(default_factory=list)
    protocol: str = ""
    pharmacology: str = ""
    surgery: str = ""
    virus: str = ""
    stimulus_notes: str = ""
    notes: str = ""
    electrode_location: str = ""


class OutputOptions(OwnModel):
    """Options of one output; formats without a place for one of them ignore it.

    Attributes
    ----------
    metadata
        Subject and session (NWB).
    compression
        ``gzip`` (zlib, with byte shuffle) or ``lzf``, both without loss; empty for none (NWB, HDF5).
    """

    metadata: SessionMetadata | None = None
    compression: Literal["", "gzip", "lzf"] = ""
