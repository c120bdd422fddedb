"""Reader of Intan RHS (stimulation) recordings, in all three layouts: see :mod:`ranvier.recordings.formats.intan`.

Amplifiers are AMP, analog inputs and outputs and the DC amplifiers (``A-000_DC``, in volts, inverted by the chip) are
AIN, digital lines DIN and DOUT; stimulation is told as events (:mod:`ranvier.recordings.formats.rhs_stim`).
"""

from __future__ import annotations

from ranvier.recordings.formats.intan import RHS

detect, open_rhs, files_of, base_name = RHS.detect, RHS.open, RHS.files, RHS.base_name

FORMAT = RHS.format()
