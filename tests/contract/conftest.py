"""The project's own copy of the contract, and the documented import names on the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_facts import load

COMPAT = Path(__file__).parents[2] / "compat" / "src"


@pytest.fixture(scope="session", autouse=True)
def _compat_on_path() -> Iterator[None]:
    """Make `radiens_core` importable, whether or not the compat distribution is installed."""
    sys.path.insert(0, str(COMPAT))
    yield
    sys.path.remove(str(COMPAT))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`model`, `enum`: (name, facts) of each class; `flex_case`: (type, input, result by release)."""
    classes = load("models_contract.json")["classes"]
    if "model" in metafunc.fixturenames:
        models = [(name, facts) for name, facts in classes.items() if facts["kind"] == "model"]
        metafunc.parametrize("model", models, ids=[name for name, _ in models])
    if "enum" in metafunc.fixturenames:
        enums = [(name, facts) for name, facts in classes.items() if facts["kind"] in ("IntEnum", "StrEnum")]
        metafunc.parametrize("enum", enums, ids=[name for name, _ in enums])
    if "flex_case" in metafunc.fixturenames:
        cases = [(t, given, res) for t, rows in load("flex_acceptance.json").items() for given, res in rows.items()]
        metafunc.parametrize("flex_case", cases, ids=[f"{t}-{given}" for t, given, _ in cases])
