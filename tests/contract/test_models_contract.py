"""Each class compared with the contract: the documented release strictly, what newer ones add as optional."""

from __future__ import annotations

import ast
import importlib
import inspect
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest
from contract_facts import load
from pydantic import ValidationError
from pydantic.fields import FieldInfo

import ranvier.exceptions
import ranvier.models

Facts = dict[str, Any]

#: Where our type is wider than the text of the contract, on purpose.
OTHER_TYPES = {
    ("FileInfo", "sample_rate"): "float",  # rates are not always whole numbers
    ("NeuronSpikeData", "waveforms"): "npt.NDArray[np.float32] | None",
    ("ChannelSpikeData", "labels"): "npt.NDArray[np.int32] | None",  # None without waveforms, in the newest release
    ("SpectralQuery", "ranges"): "tuple[SpectralRange, ...]",  # what FlexSpectralRange becomes
    ("SignalArrays", "time_range"): "TimeRange | None",
}
#: Required in the documented release and gone in newer ones: optional here, so that both kinds of constructor work.
OPTIONAL_HERE = {("DSPGroup", "spike_sorter"), ("KpiMetricId", "mode")}
#: The newer name of a documented field is a property, not a field.
RENAMED = {("NotchParams", "frequency"): "notch_frequency"}


def _class(name: str, facts: Facts) -> Any:
    return getattr(importlib.import_module(f"ranvier.models.{facts['module']}"), name)


def test_exports() -> None:
    assert set(load("models_contract.json")["exports"]) <= set(ranvier.models.__all__)


@pytest.mark.parametrize(("name", "bases"), load("models_contract.json")["exceptions"].items())
def test_exceptions(name: str, bases: list[str]) -> None:
    cls = getattr(ranvier.exceptions, name)
    for base in bases:
        assert issubclass(cls, getattr(ranvier.exceptions, base, Exception))


def test_configuration_and_docstring(model: tuple[str, Facts]) -> None:
    name, facts = model
    cls = _class(name, facts)
    assert cls.model_config["frozen"] is facts["frozen"]
    assert cls.model_config["extra"] == facts["extra"]
    assert cls.model_config["defer_build"]
    assert inspect.getdoc(cls) != inspect.getdoc(cls.__mro__[1])


def test_fields(model: tuple[str, Facts]) -> None:
    name, facts = model
    cls = _class(name, facts)
    cls.model_rebuild()
    for field, fact in facts.get("fields", {}).items():
        if (name, field) in RENAMED:
            assert isinstance(getattr(cls, field), property)
            continue
        info = cls.model_fields[field]
        assert info.alias == fact.get("alias"), field
        if fact.get("newer"):
            assert not info.is_required(), f"{field}: added by a newer release, so it must be optional"
        elif (name, field) not in OPTIONAL_HERE:
            assert info.is_required() is ("default" not in fact), field
        if "default" in fact:
            assert _default(info) == fact["default"], field
        expected = OTHER_TYPES.get((name, field), fact["type"])
        assert _type_text(cls, field) == _plain(expected), field


def test_own_fields_are_optional(model: tuple[str, Facts]) -> None:
    name, facts = model
    listed = facts.get("fields", {})
    own = {field: info for field, info in _class(name, facts).model_fields.items() if field not in listed}
    assert not [field for field, info in own.items() if info.is_required()]


def _default(info: FieldInfo) -> str:
    if info.default_factory is not None and getattr(info.default_factory, "__name__", "") == "_new_id":
        return "factory: new uuid4 string"
    value = info.default if info.default_factory is None else info.default_factory()  # type: ignore[call-arg]
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)


ARRAYS = {
    "FloatArray": "npt.NDArray[np.float64]",
    "Float32Array": "npt.NDArray[np.float32]",
    "IntArray": "npt.NDArray[np.int64]",
    "Int32Array": "npt.NDArray[np.int32]",
}


def _type_text(cls: type, field: str) -> str:
    owner = next(c for c in cls.__mro__ if field in inspect.get_annotations(c))
    text = owner.__annotations__[field]
    module = inspect.getmodule(owner)
    return _plain(text, {**ARRAYS, **_aliases(module)})


def _aliases(module: Any) -> dict[str, str]:
    """Return the annotated types that a module names, by the text behind the name."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    named = [n for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)]
    return {
        n.targets[0].id: ast.unparse(n.value)
        for n in named
        if isinstance(n.value, (ast.Subscript, ast.BinOp)) and n.targets[0].id != "TransformParams"
    }


class _Plain(ast.NodeTransformer):
    """Drops validators and literal alternatives: Annotated[Port | PortStr | int, ...] is Port."""

    def __init__(self, aliases: dict[str, str]) -> None:
        self.aliases = aliases

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.aliases:
            return self.visit(ast.parse(self.aliases[node.id], mode="eval").body)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id == "Annotated":
            assert isinstance(node.slice, ast.Tuple)
            return self.visit(node.slice.elts[0])
        return self.generic_visit(node)


def _plain(text: str, aliases: dict[str, str] | None = None) -> str:
    tree = _Plain(aliases or {}).visit(ast.parse(text, mode="eval").body)
    parts = ast.unparse(tree).split(" | ")
    enum = parts[0]
    if any(part.endswith("Str") for part in parts):
        parts = [p for p in parts if not p.endswith("Str") and p != "int"]
    return " | ".join([enum, *[p for p in parts[1:] if p != enum]])


def test_methods_and_properties(model: tuple[str, Facts]) -> None:
    name, facts = model
    cls = _class(name, facts)
    for prop in facts.get("properties", ()):
        assert isinstance(getattr(cls, prop), property), prop
    for method, signature in facts.get("methods", {}).items():
        wanted = _parameters(signature)
        ours = {n: p for n, p in inspect.signature(getattr(cls, method)).parameters.items() if n != "self"}
        for position, (parameter, has_default, keyword_only) in enumerate(wanted):
            assert parameter in ours, f"{method}({parameter})"
            mine = ours[parameter]
            if has_default:
                assert mine.default is not mine.empty
            if keyword_only:
                assert mine.kind is mine.KEYWORD_ONLY
            else:
                assert list(ours)[position] == parameter, method


def _parameters(signature: str) -> list[tuple[str, bool, bool]]:
    """Return (name, has default, keyword only) without self and cls."""
    function = ast.parse(f"def f{signature}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    plain = given.args[1:]
    defaults = [False] * (len(plain) - len(given.defaults)) + [True] * len(given.defaults)
    found = [(a.arg, d, False) for a, d in zip(plain, defaults, strict=True)]
    return found + [(a.arg, d is not None, True) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)]


#: Members that Ranvier adds, at 1000 and above (docs/contract/additions.md).
OWN_MEMBERS = {("RadiensFileType", "SESSION")}


def test_enum_numbers(enum: tuple[str, Facts]) -> None:
    name, facts = enum
    cls = _class(name, facts)
    assert issubclass(cls, StrEnum if facts["kind"] == "StrEnum" else IntEnum)
    members = {member.name: member.value for member in cls}
    documented = {member: members.pop(member) for member in facts["members"]}
    assert documented == facts["members"]
    taken = set(documented.values())
    for member, number in facts.get("newer_members", {}).items():
        ours = members.pop(member)
        assert ours == number if number not in taken else ours >= 1000, member
    assert all(number >= 1000 for number in members.values()), "our own members have numbers that nobody else uses"
    assert inspect.getdoc(cls) != inspect.getdoc(IntEnum)


def test_frozen_and_extra() -> None:
    port = ranvier.models.PortChannelCount(port=ranvier.models.Port.A, channel_count=32, unknown=1)
    assert not hasattr(port, "unknown")
    with pytest.raises(ValidationError, match="frozen"):
        port.channel_count = 64  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        ranvier.models.SimulationSpec(sed=3)


def test_dsp_params_dict() -> None:
    facts = load("models_contract.json")["classes"]["DSPParamsDict"]
    cls = ranvier.models.DSPParamsDict
    assert set(cls.__annotations__) == set(facts["fields"]) == set(ranvier.models.DSPParams.model_fields)
    assert cls.__required_keys__ == {"type"}
