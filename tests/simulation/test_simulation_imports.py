from __future__ import annotations

import subprocess
import sys


def test_probes_and_simulation_import_nothing_heavy() -> None:
    code = (
        "import sys, ranvier.probes, ranvier.simulation\n"
        "heavy = {'scipy', 'numba', 'probeinterface', 'pandas', 'matplotlib', 'h5py', 'neo'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
