"""File types of the API."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["RadiensFileType"]


class RadiensFileType(IntEnum):
    """File types of the API."""

    RHD = 0
    XDAT = 1
    CSV = 2
    HDF5 = 3
    NEX5 = 4
    NWB = 5
    BIOINTERFACE = 7
    KILOSORT2 = 8
    ANC = 9
    SPKTRAIN_MU = 10
    BIO_RADIENS_EXPORT_HDF5 = 11
    BIO_RADIENS_EXPORT_MAT5 = 12
    NSX = 13
    PL2 = 14
    TDT = 15
    SPIKES = 16
    KPI = 17
    UNKNOWN_FILE_TYPE = 18
    MEAREC_HDF5 = 19
    OFFLINE_SORTER_SPKS_MAT5 = 20
    SPKS_NPY = 21
    OE_DAT = 22
    SPKS_PHY2 = 23
    SPIKEGLX = 24
    NCS = 25
    EDF = 26
    NCS_SESSION = 27
    RHS = 28
    SESSION = 1000
    """Our own: several recordings one after the other (``.session.json``)."""
