"""The vendor's distributions own the documented import names; a stand-in takes their place here."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ranvier import clash

COMPAT = Path(__file__).parents[1] / "compat" / "src"


def _distribution(folder: Path, name: str, record: str = "") -> Path:
    info = folder / f"{name.replace('-', '_')}-9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    (info / "RECORD").write_text(record)
    return info


def _record(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}\n"


def test_no_vendor_here() -> None:
    assert clash.vendor_distributions() == []
    clash.refuse_beside_vendor("radiens_core")


@pytest.mark.parametrize("vendor", clash.VENDOR_DISTRIBUTIONS)
def test_radiens_core_refuses_to_import_beside_the_vendor(tmp_path: Path, vendor: str) -> None:
    _distribution(tmp_path, vendor)
    path = os.pathsep.join([str(tmp_path), str(COMPAT), str(Path(clash.__file__).parents[1])])
    command = [sys.executable, "-c", "import ranvier, ranvier.models\nimport radiens_core"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError: radiens_core of ranvier-radiens cannot share an environment")
    assert f"the vendor's {vendor}:" in message


def test_overwritten_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {"radiens_core/__init__.py": b"ours", "radiens_core/kept.py": b"kept", "radiens_core/gone.py": b"gone"}
    record = "".join(_record(name, content) for name, content in ours.items()) + "radiens_core/x.pyc,,\n"
    _distribution(tmp_path, clash.OWN_DISTRIBUTION, record)
    (tmp_path / "radiens_core").mkdir()
    (tmp_path / "radiens_core" / "__init__.py").write_bytes(b"the vendor's")
    (tmp_path / "radiens_core" / "kept.py").write_bytes(b"kept")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert clash.overwritten_files() == ["radiens_core/__init__.py", "radiens_core/gone.py"]


def test_nothing_is_overwritten_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clash, "OWN_DISTRIBUTION", "ranvier-no-such-distribution")
    assert clash.overwritten_files() == []
