"""The package as a whole: its names, its import, JSON."""

from __future__ import annotations

import importlib
import json
import pickle
import pkgutil
import subprocess
import sys

import pytest

import ranvier.models
from ranvier.models import DatasetMetadata, SignalArrays, TimeRangeSpec


def test_all_is_sorted_and_resolves() -> None:
    assert ranvier.models.__all__ == sorted(ranvier.models.__all__)
    for name in ranvier.models.__all__:
        assert getattr(ranvier.models, name) is not None
    assert set(ranvier.models.__all__) <= set(dir(ranvier.models))
    with pytest.raises(AttributeError, match="NoSuchModel"):
        _ = ranvier.models.NoSuchModel  # type: ignore[attr-defined]


def test_every_public_class_of_a_module_is_exported() -> None:
    for info in pkgutil.iter_modules(ranvier.models.__path__):
        module = importlib.import_module(f"ranvier.models.{info.name}")
        for name in getattr(module, "__all__", ()):
            if not name.startswith("coerce_"):
                assert getattr(ranvier.models, name) is getattr(module, name)


def test_importing_loads_nothing_and_a_name_only_what_it_needs() -> None:
    code = (
        "import sys, ranvier.models; early = 'pydantic' in sys.modules or 'numpy' in sys.modules;"
        "ranvier.models.Port;"
        "late = [m for m in ('pandas', 'scipy', 'numba', 'h5py', 'ranvier.models.spectral') if m in sys.modules];"
        "print([early, late])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[False, []]"


def test_a_dataset_survives_json_and_pickle(dataset: DatasetMetadata) -> None:
    assert DatasetMetadata.model_validate_json(dataset.model_dump_json()) == dataset
    assert pickle.loads(pickle.dumps(dataset)) == dataset


def test_infinity_and_nan_survive_json() -> None:
    full = TimeRangeSpec.full()
    assert TimeRangeSpec.model_validate_json(full.model_dump_json()) == full
    signals = SignalArrays.model_validate({"amp": [[1.0, float("nan"), float("-inf")]]})
    text = signals.model_dump_json()
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert SignalArrays.model_validate_json(text) == signals
