"""A griffe extension: docstrings say ``:class:`X``` as numpydoc does, the pages are Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|meth|func|mod|attr|data|exc|obj):`(?P<short>~)?(?P<target>[\w.]+)`")
LITERAL_BLOCK = re.compile(r"::$", re.MULTILINE)


def markdown(text: str) -> str:
    """Return a docstring with its reStructuredText roles and literal blocks as Markdown."""

    def code(match: re.Match[str]) -> str:
        target = match["target"]
        return f"`{target.rsplit('.', 1)[-1] if match['short'] else target}`"

    return LITERAL_BLOCK.sub(":", ROLE.sub(code, text))


class RstRoles(griffe.Extension):
    """Rewrite each docstring as it is loaded."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
