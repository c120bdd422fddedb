"""CurateClient: clean and convert recordings."""

from __future__ import annotations

from ranvier.clients._protocols import ProtocolsClient


class CurateClient(ProtocolsClient):
    """Recordings: filter, re-reference, slice, convert.

    The transforms moved from CurateClient to VidereClient between releases of the documented API; here both have
    them::

        with CurateClient() as curate:
            clean = curate.bandpass("sampledata.rhd", 300, 6000, "out/clean.xdat")
    """
