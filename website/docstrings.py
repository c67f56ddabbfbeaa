"""Docstrings as Markdown: their mathematics is reStructuredText's, as in neighbouring libraries."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any

import griffe

_BLOCK = re.compile(r"^( *)\.\. math:: ?(.*(?:\n(?:\1 +.*|[ ]*(?=\n\1 +)))*)", re.MULTILINE)
_INLINE = re.compile(r":math:`([^`]+)`")
_EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)
_ROLE = re.compile(r":(?:func|class|meth|mod):`~?([^`]+)`")


def to_markdown(text: str) -> str:
    """A docstring whose mathematics and names are written as Markdown writes them."""

    def block(match: re.Match[str]) -> str:
        first, _, rest = match[2].partition("\n")
        body = f"{first.strip()}\n{dedent(rest)}".strip()
        return "\n".join(match[1] + line for line in ("", "$$", *body.splitlines(), "$$", ""))

    text = _BLOCK.sub(block, text)
    text = _INLINE.sub(r"$\1$", text)
    text = _EXAMPLE.sub(r"\1Examples:", text)  # the only heading under which griffe reads >>>
    return _ROLE.sub(r"`\1`", text).replace("``", "`")


class Mathematics(griffe.Extension):
    """Rewrites every docstring before mkdocstrings reads it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
