"""Friendly forms of output options: metadata as a model, a dict or a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from pydantic import ValidationError

from ranvier.exceptions import ConfigurationError
from ranvier.models.output_options import OutputOptions, SessionMetadata

MetadataInput = SessionMetadata | Mapping[str, Any] | str | Path | None
CompressionInput = Literal["", "gzip", "lzf"] | str


class OutputKeywords(TypedDict, total=False):
    """Keywords of every call that writes recordings (additions to the documented API).

    Attributes
    ----------
    metadata
        Subject and session (NWB): a SessionMetadata, a dict of its fields, or the path of a YAML file with them.
    compression
        ``gzip`` or ``lzf``, both without loss (NWB, HDF5); none by default.
    """

    metadata: MetadataInput
    compression: CompressionInput


def output_options(metadata: MetadataInput = None, compression: CompressionInput = "") -> OutputOptions | None:
    """Return the options that a caller means, None where there are none.

    Raises
    ------
    ConfigurationError
        A file that cannot be read, a field that does not exist or cannot be meant; the message names every one.
    """
    if metadata is None and not compression:
        return None
    where, fields = "metadata", metadata
    if isinstance(metadata, (str, Path)):
        where, fields = str(metadata), _from_yaml(Path(metadata).expanduser())
    try:
        if fields is not None and not isinstance(fields, SessionMetadata):
            fields = SessionMetadata.model_validate(fields)
        return OutputOptions.model_validate({"metadata": fields, "compression": compression})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"{where}: {faults}") from error


def _from_yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} must be a table of fields, such as 'subject:' and 'experimenter:'")
    return document
