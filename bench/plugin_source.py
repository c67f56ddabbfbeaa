"""Read what a plugin file declares without importing it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BASES: Mapping[str, str] = {"Prior": "prior", "Posterior": "posterior", "Dataset": "dataset"}
"""The name of each base class and the kind of plugin that derives from it."""


@dataclass(frozen=True)
class Declared:
    """One plugin class as its source declares it.

    Attributes:
        name: the class's name.
        kind: ``prior``, ``posterior`` or ``dataset``.
        doc: the first sentence of the class docstring.
        attributes: the class attributes that are literals.
        options: what the constructor takes besides the spec, or None where the source cannot tell.
        line: where the class begins.
    """

    name: str
    kind: str
    doc: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] | None = None
    line: int = 0


def declared(path: Path) -> list[Declared]:
    """The plugin classes of a file, in order; classes named with an underscore are private.

    Raises:
        SyntaxError, ValueError: the file is not Python.
        OSError: the file cannot be read.
    """
    tree = ast.parse(path.read_bytes(), filename=str(path))
    aliases = {name: name for name in BASES}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            aliases |= {a.asname: a.name for a in node.names if a.asname and a.name in BASES}
    chains: dict[str, list[ast.ClassDef]] = {}
    kinds: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for base in map(_terminal_name, node.bases):
            if base in kinds:
                kinds[node.name] = kinds[base]
                chains[node.name] = [*chains[base], node]
                break
            if base in aliases:
                kinds[node.name] = BASES[aliases[base]]
                chains[node.name] = [node]
                break
    return [
        _declaration(kinds[name], chain)
        for name, chain in chains.items()
        if not name.startswith("_")
    ]


def first_sentence(doc: str) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = " ".join(doc.strip().split("\n\n", 1)[0].split())
    head, stop, _ = paragraph.partition(". ")
    return head + "." if stop else paragraph


def _terminal_name(base: ast.expr) -> str:
    if isinstance(base, ast.Attribute):
        return base.attr
    return base.id if isinstance(base, ast.Name) else ""


def _declaration(kind: str, chain: list[ast.ClassDef]) -> Declared:
    """Join a class with the bases that the same file defines, nearest last."""
    attributes: dict[str, Any] = {}
    options: tuple[str, ...] | None = ()
    doc = ""
    for node in chain:
        doc = first_sentence(ast.get_docstring(node) or "") or doc
        for statement in node.body:
            attributes |= _literal(statement)
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                options = _options(statement.args, options)
    node = chain[-1]
    return Declared(node.name, kind, doc, attributes, options, node.lineno)


def _literal(statement: ast.stmt) -> dict[str, Any]:
    if isinstance(statement, ast.Assign):
        targets, value = statement.targets, statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets, value = [statement.target], statement.value
    else:
        return {}
    try:
        literal = ast.literal_eval(value)
    except ValueError:
        return {}
    return {target.id: literal for target in targets if isinstance(target, ast.Name)}


def _options(args: ast.arguments, inherited: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The names that a constructor takes besides ``self`` and ``spec``."""
    named = [*args.posonlyargs, *args.args][1:] + args.kwonlyargs
    own = tuple(argument.arg for argument in named if argument.arg != "spec")
    if args.kwarg is None:
        return own
    return (*own, *inherited) if inherited else None
