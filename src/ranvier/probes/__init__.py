"""Probe geometry: from names, from files, onto the channels of a recording."""

from ranvier.probes.assign import assign, assume_column, check_names
from ranvier.probes.headstages import Headstage, parse_headstage
from ranvier.probes.layouts import Layout, PlacedSite, layout
from ranvier.probes.metadata import channel_metadata, neighbor_radius_um, site_position
from ranvier.probes.names import KNOWN_PROBES, ProbeName, parse_probe_name
from ranvier.probes.probeinterface_io import ProbeFile, read_probeinterface, write_probeinterface

__all__ = [
    "KNOWN_PROBES",
    "Headstage",
    "Layout",
    "PlacedSite",
    "ProbeFile",
    "ProbeName",
    "assign",
    "assume_column",
    "channel_metadata",
    "check_names",
    "layout",
    "neighbor_radius_um",
    "parse_headstage",
    "parse_probe_name",
    "read_probeinterface",
    "site_position",
    "write_probeinterface",
]
