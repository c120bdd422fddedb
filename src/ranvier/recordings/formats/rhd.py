"""Reader of Intan RHD recordings, in all three layouts: see :mod:`ranvier.recordings.formats.intan`."""

from __future__ import annotations

from ranvier.recordings.formats.intan import RHD

detect, open_rhd, files_of, base_name = RHD.detect, RHD.open, RHD.files, RHD.base_name

FORMAT = RHD.format()
