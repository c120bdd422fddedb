"""The process of a rig: acquisition never shares an interpreter with user code."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from ranvier import _platform
from ranvier.models.status import BackboneMode
from ranvier.rig.core import warm
from ranvier.rig.rig import Rig
from ranvier.services.rig import Rig as RigProtocol
from ranvier.transport import Hosted

#: How long a thread may run Python code while the pump waits for its turn, in seconds (Python's default is 5 ms).
SWITCH_INTERVAL_SEC = 0.0005


def entry(home: Path, options: Mapping[str, str]) -> Hosted:
    """Build the rig of an engine process; ``options``: ``mode`` (name of the first source's mode), ``seed``."""
    take_short_turns()
    mode = BackboneMode[options.get("mode", BackboneMode.SMARTBOX_SIM_GEN_SPIKES.name)]
    rig = Rig(home, mode=mode, seed=int(options.get("seed", "1")))
    rig.core.pump.in_a_hurry = True
    threading.Thread(target=_prepare, name="ranvier-warm", daemon=True).start()  # streaming waits, clients need not
    return Hosted(
        engine=rig,
        protocol=RigProtocol,
        busy=rig.busy,
        caller_gone=rig.caller_gone,
        close=rig.close,
        serving=rig.count_clients,
    )


def take_short_turns() -> None:
    """Let no thread of this process hold up the others for long; call it before they are started."""
    sys.setswitchinterval(SWITCH_INTERVAL_SEC)
    _platform.take_short_turns()  # all threads: one that holds the interpreter holds up the pump


def keep_what_is_loaded() -> None:
    """Let the collector never look again at what is there now, as it lives as long as the process.

    A full collection looks at every object, a few hundred thousand behind Numba and the models, and every thread waits
    for it: 65 to 166 ms. Behind this one takes below a millisecond.
    """
    gc.collect()
    gc.freeze()


def _prepare() -> None:
    """Load what streams run."""
    warm()
    keep_what_is_loaded()
