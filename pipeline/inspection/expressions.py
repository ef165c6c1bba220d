"""A condition on a table's columns as a user types it, checked and made ready for DuckDB.

Only an expression gets through: DuckDB parses the text without running it, and the parse is walked. Columns
must be the table's, functions must be on a list, and nothing else (a subquery, a second statement, a window)
is let in.

Elements of lists can be named as if the row had one of them: ``word = 'cup'`` holds for a row that has such a
word, ``word != 'cup'`` for one that has none, ``coverage > 0.9`` for one with a patch that is so covered.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from pipeline.errors import UserError
from pipeline.inspection import elements, engine
from pipeline.inspection.elements import ELEMENTS, OF_LISTS, Columns, names
from pipeline.inspection.engine import Node, children

__all__ = ["FUNCTIONS", "Condition", "both", "checked", "equals", "names"]

FUNCTIONS = OF_LISTS | {
    "lower", "upper", "trim", "strlen", "contains", "starts_with", "prefix", "ends_with", "suffix", "replace",
    "regexp_matches", "strip_accents", "substr", "substring", "left", "right", "concat", "abs", "round",
    "floor", "ceil", "sqrt", "ln", "log10", "greatest", "least", "struct_extract",
    "~~", "!~~", "~~*", "!~~*", "~~~", "+", "-", "*", "/", "//", "%", "^", "**",
}  # fmt: skip
"""All that a condition may call; operators are functions too (``~~`` is LIKE)."""

_CLASSES = {
    "CONJUNCTION", "COMPARISON", "CONSTANT", "COLUMN_REF", "FUNCTION", "OPERATOR", "BETWEEN", "CAST", "TYPE",
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """A condition that has been checked."""

    sql: str
    """For DuckDB, in parentheses."""
    columns: tuple[str, ...]
    """The table's columns that it uses, at least one, in the table's order."""


def checked(schema: pa.Schema, expression: str) -> Condition:
    """The condition on rows of a table of this schema that an expression stands for.

    Raises:
        UserError: it is no expression, names a column that is not there (the message lists those that are),
            calls a function that is not on the list, or its types do not fit.
    """
    where = _parse(expression)
    columns = {name.lower(): schema.field(name) for name in schema.names}
    _check(where, columns)
    sql = engine.text(elements.on_lists(where, columns))
    used = _used(where, columns) or {schema.names[0]}
    condition = Condition(sql, tuple(name for name in schema.names if name in used))
    try:
        # A row of nulls, so that constants are worked out too.
        nulls = pa.Table.from_arrays([pa.nulls(1, column.type) for column in schema], schema.names)
        with engine.connection() as database:
            database.register("rows_", nulls.to_reader())
            database.execute(f"SELECT count(*) FROM rows_ WHERE {sql}").fetchall()
    except duckdb.Error as error:
        raise _unusable(expression, str(error)) from error
    return condition


def equals(column: str, value: str) -> Condition:
    """The condition that a column of texts has a value."""
    quoted = value.replace("'", "''")
    return Condition(f"(\"{column}\" = '{quoted}')", (column,))


def both(one: Condition, other: Condition) -> Condition:
    """The condition that two conditions hold."""
    return Condition(f"({one.sql} AND {other.sql})", tuple(dict.fromkeys((*one.columns, *other.columns))))


def _parse(expression: str) -> Node:
    parsed = engine.tree(f"(\n{expression}\n)")
    if parsed.get("error"):
        raise _unusable(expression, parsed.get("error_message", "it cannot be parsed"))
    statements = parsed["statements"]
    node = statements[0]["node"]
    plain = engine.tree("true")["statements"][0]["node"]
    if len(statements) != 1 or set(node) != set(plain) or node["type"] != "SELECT_NODE":
        raise _unusable(expression, "it is more than one expression")
    where = node["where_clause"]
    if where.get("function_name") == "row":
        raise _unusable(expression, "it is empty, or several values")
    return where


def _check(node: Node, columns: Columns) -> None:
    """Refuse whatever is no plain expression over the columns."""
    if node["class"] not in _CLASSES:
        what = node["class"].lower().replace("_", " ")
        raise UserError(f"A filter is one condition on a row's columns; a {what} has no place in it.")
    if node["class"] == "FUNCTION":
        path = node.get("qualified_name", {}).get("path", [])
        if node["function_name"] not in FUNCTIONS or len(path) > 1:
            known = ", ".join(sorted(name for name in FUNCTIONS if name.isidentifier()))
            raise UserError(f"A filter cannot call {node['function_name']!r}. It can call {known}.")
    if node["class"] == "COLUMN_REF":
        elements.resolve(node["column_names"], columns)
    for child in children(node):
        _check(child, columns)


def _used(node: Node, columns: Columns) -> set[str]:
    """The table's columns that a node names."""
    if node["class"] == "COLUMN_REF":
        first = node["column_names"][0].lower()
        return {columns[first].name if first in columns else ELEMENTS[first][0]}
    return set().union(*(_used(child, columns) for child in children(node)))


def _unusable(expression: str, why: str) -> UserError:
    reason = why.splitlines()[0].removeprefix("Parser Error: ").removeprefix("Binder Error: ")
    return UserError(
        f"The filter {expression!r} is no condition that can be used: {reason}. "
        "Write it as SQL does, for instance: score < 0.3 and word = 'cup'."
    )
