"""Which kinds of event the product appends, read from its source: the second argument of every call that appends to a ledger."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("include/roundtrip", "plugins", "dags")
APPENDING = ("append", "append_once")
RELEASE_AND_KIND = 2
"""positional arguments that come first; a list's `append` has only one"""


def appended_kinds() -> dict[str, str]:
    """Kind -> where it is appended. Raises LookupError for a kind that the source does not name."""
    found = {}
    for path in sorted(file for folder in PRODUCT for file in (ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in _calls(tree):
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            kinds = list(_kinds(call.args[1], tree, path))
            if not kinds:
                raise LookupError(f"{where}: no kind of event is named '{ast.unparse(call.args[1])}'")
            found |= dict.fromkeys(kinds, where)
    return found


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in APPENDING and len(node.args) >= RELEASE_AND_KIND:
            yield node


def _kinds(argument: ast.expr, tree: ast.Module, path: Path) -> Iterator[str]:
    """A word, or what a name stands for: each word of a loop, or a constant of the module."""
    if isinstance(argument, ast.Constant):
        yield str(argument.value)
    if not isinstance(argument, ast.Name):
        return
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.For)
            and isinstance(node.target, ast.Tuple)
            and isinstance(node.iter, ast.Tuple)
        ):
            names = [ast.unparse(one) for one in node.target.elts]
            if argument.id in names:
                yield from (row[names.index(argument.id)] for row in _written(node.iter))
                return
    module = ".".join(path.with_suffix("").relative_to(ROOT).parts[1:])
    constant = getattr(import_module(module), argument.id, None)
    if isinstance(constant, str):
        yield constant


def _written(rows: ast.Tuple) -> Iterator[list[str]]:
    """Each row's cells; of one that is no word its source."""
    for row in rows.elts:
        cells = row.elts if isinstance(row, ast.Tuple) else [row]
        yield [str(cell.value) if isinstance(cell, ast.Constant) else ast.unparse(cell) for cell in cells]
