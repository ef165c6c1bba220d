"""A condition on a table's columns as a user types it, checked and made ready for DuckDB.

Only an expression gets through: DuckDB parses the text without running it, and the parse is walked. Columns
must be the table's, functions must be on a list, and nothing else (a subquery, a second statement, a window)
is let in.

Elements of lists can be named as if the row had one of them: ``word = 'cup'`` holds for a row that has such a
word, ``word != 'cup'`` for one that has none, ``coverage > 0.9`` for one with a patch that is so covered.
"""

from __future__ import annotations

import copy
import difflib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.errors import UserError

Node = dict[str, Any]

ELEMENTS = {
    "word": ("words", "text"),
    "lemma": ("words", "lemma"),
    "role": ("words", "role"),
    "patch": ("patches", None),
    "region_id": ("region_ids", None),
    "attribute": ("attributes", None),
    "turn": ("turns", "text"),
}
"""Names for an element of a list column: the column, and the field if its elements have fields."""

OF_LISTS = {
    "len", "length", "array_length", "array_extract", "list_extract", "list_contains", "list_has",
    "list_max", "list_min", "list_sum", "list_avg", "list_median", "list_distinct", "list_unique",
    "list_sort", "list_value",
}  # fmt: skip
"""Functions that take a list as a whole."""
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
_NEGATED = {"!~~": "~~", "!~~*": "~~*"}
_PREDICATES = {
    "contains",
    "starts_with",
    "prefix",
    "ends_with",
    "suffix",
    "regexp_matches",
    "~~",
    "~~*",
    "~~~",
}
_CONSTANT_OPERATORS = {"COMPARE_IN", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"}


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
    sql = _text(_condition(where, columns))
    used = _used(where, columns) or {schema.names[0]}
    condition = Condition(sql, tuple(name for name in schema.names if name in used))
    try:
        # A row of nulls, so that constants are worked out too.
        nulls = pa.Table.from_arrays([pa.nulls(1, column.type) for column in schema], schema.names)
        with connection() as database:
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


def names(schema: pa.Schema) -> list[str]:
    """The names that a condition on such a table may use: its columns, then the names of elements."""
    elements = [
        name
        for name, (column, part) in ELEMENTS.items()
        if name not in schema.names and column in schema.names and _has(schema.field(column).type, part)
    ]
    return [*schema.names, *elements]


def connection() -> duckdb.DuckDBPyConnection:
    """A connection to a DuckDB in memory that can reach no file, no network and no Python variable.

    What one connection registers, others do not see; threads take one each.
    """
    return _database().cursor()


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={
            "enable_external_access": "false",
            "python_enable_replacements": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "lock_configuration": "true",
        }
    )


def _tree(where: str) -> Node:
    """DuckDB's parse of ``SELECT 1 FROM t WHERE ...``: nothing is run, no table is looked up."""
    call = "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true, skip_default := true)"
    return json.loads(_value(call, f"SELECT 1 FROM t WHERE {where}"))


def _value(call: str, given: str) -> str:
    with connection() as database:
        return database.execute(call, [given]).fetchall()[0][0]


def _parse(expression: str) -> Node:
    tree = _tree(f"(\n{expression}\n)")
    if tree.get("error"):
        raise _unusable(expression, tree.get("error_message", "it cannot be parsed"))
    statements = tree["statements"]
    node = statements[0]["node"]
    plain = _tree("true")["statements"][0]["node"]
    if len(statements) != 1 or set(node) != set(plain) or node["type"] != "SELECT_NODE":
        raise _unusable(expression, "it is more than one expression")
    where = node["where_clause"]
    if where.get("function_name") == "row":
        raise _unusable(expression, "it is empty, or several values")
    return where


def _text(where: Node) -> str:
    """A parsed condition as SQL again."""
    tree = _tree("true")
    tree["statements"][0]["node"]["where_clause"] = where
    select = _value("SELECT json_deserialize_sql(?)", json.dumps(tree))
    return f"({select.partition(' WHERE ')[2]})"


def _condition(node: Node, columns: dict[str, pa.Field]) -> Node:
    """The node with names checked and predicates on elements made predicates on their lists."""
    _check(node, columns)
    kind = node["class"]
    if kind == "CONJUNCTION" or node["type"] == "OPERATOR_NOT":
        return {**node, "children": [_condition(child, columns) for child in node["children"]]}
    if kind not in ("COMPARISON", "BETWEEN") and not _is_predicate(node):
        return node
    lists = _lists(node, columns)
    if not lists:
        return node
    if len(lists) > 1:
        raise UserError(
            "A comparison may name elements of one list; this one names those of"
            f" {' and '.join(sorted(lists))}."
        )
    if node["type"] == "COMPARE_NOTEQUAL":
        return _not(_any(lists.pop(), {**node, "type": "COMPARE_EQUAL"}, columns))
    if node.get("function_name") in _NEGATED:
        positive = _NEGATED[node["function_name"]]
        return _not(
            _any(
                lists.pop(),
                {**node, "function_name": positive, "qualified_name": {"path": [positive]}},
                columns,
            )
        )
    return _any(lists.pop(), node, columns)


def _used(node: Node, columns: dict[str, pa.Field]) -> set[str]:
    """The table's columns that a node names."""
    if node["class"] == "COLUMN_REF":
        first = node["column_names"][0].lower()
        return {columns[first].name if first in columns else ELEMENTS[first][0]}
    return set().union(*(_used(child, columns) for child in _children(node)))


def _is_predicate(node: Node) -> bool:
    return node["type"] in _CONSTANT_OPERATORS or (
        node["class"] == "FUNCTION"
        and (node["function_name"] in _PREDICATES or node["function_name"] in _NEGATED)
    )


def _check(node: Node, columns: dict[str, pa.Field]) -> None:
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
        _resolve(node["column_names"], columns)
    for child in _children(node):
        _check(child, columns)


def _children(node: Node) -> list[Node]:
    """The expressions right below a node: whatever in it carries a class."""
    found: list[Node] = []
    for value in node.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                found += [each] if "class" in each else _children(each)
    return found


def _resolve(path: list[str], columns: dict[str, pa.Field]) -> tuple[str, list[str]] | None:
    """The list column and the fields that a name stands for an element of; None for a plain column.

    Raises:
        UserError: there is no such column or field.
    """
    first, rest = path[0].lower(), [part.lower() for part in path[1:]]
    if first in columns:
        kind = columns[first].type
        element = kind.value_type if pa.types.is_list(kind) else kind
        if rest and not (len(rest) == 1 and _has(element, rest[0])):
            raise _no_column(".".join(path), columns)
        return (columns[first].name, rest) if pa.types.is_list(kind) else None
    column, part = ELEMENTS.get(first, ("", None))
    if rest or column not in columns or not _has(columns[column].type, part):
        raise _no_column(".".join(path), columns)
    return columns[column].name, [part] if part else []


def _has(kind: pa.DataType, part: str | None) -> bool:
    """Whether a type, or that of a list's elements, has a field."""
    if pa.types.is_list(kind):
        kind = kind.value_type
    return part is None or (pa.types.is_struct(kind) and kind.get_field_index(part) >= 0)


def _no_column(name: str, columns: dict[str, pa.Field]) -> UserError:
    known = names(pa.schema(list(columns.values())))
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f" Did you mean {close[0]}?" if close else " Text goes in single quotes, as in word = 'cup'."
    return UserError(
        f"The filter names {name!r}, and there is no such column.{hint} There are: {', '.join(known)}."
    )


def _lists(node: Node, columns: dict[str, pa.Field]) -> set[str]:
    """The list columns of which a predicate names elements; a list that a function takes whole is not one."""
    if any(child.get("function_name") == "list_value" for child in _children(node)):
        return set()  # a list is compared with a list
    found: set[str] = set()
    for child in _children(node):
        if child["class"] == "COLUMN_REF":
            resolved = _resolve(child["column_names"], columns)
            found |= {resolved[0]} if resolved else set()
        elif _takes_lists(child):
            found |= _lists({"": [each for each in _children(child) if not _is_list(each, columns)]}, columns)
        else:
            found |= _lists(child, columns)
    return found


def _takes_lists(node: Node) -> bool:
    return node["type"] in ("ARRAY_EXTRACT", "ARRAY_SLICE") or node.get("function_name") in OF_LISTS


def _is_list(node: Node, columns: dict[str, pa.Field]) -> bool:
    """Whether a node is the name of a list column as a whole."""
    return node["class"] == "COLUMN_REF" and node["column_names"] == [
        columns[node["column_names"][0].lower()].name if node["column_names"][0].lower() in columns else ""
    ]


def _any(column: str, predicate: Node, columns: dict[str, pa.Field]) -> Node:
    """The condition that the predicate holds for some element of the list."""
    inside = copy.deepcopy(predicate)
    _replace(inside, column, columns)
    outer = _tree(f'len(list_filter("{column}", lambda element_: placeholder_)) > 0')
    found = outer["statements"][0]["node"]["where_clause"]
    of_list = found["left"]["arguments"][0]["expression"]
    of_list["arguments"][1]["expression"]["expr"] = inside
    return found


def _replace(node: Node, column: str, columns: dict[str, pa.Field]) -> None:
    for child in _children(node):
        if child["class"] == "COLUMN_REF":
            resolved = _resolve(child["column_names"], columns)
            if resolved and resolved[0] == column:
                child["column_names"] = ["element_", *resolved[1]]
        elif _takes_lists(child):
            for each in _children(child):
                if not _is_list(each, columns):
                    _replace({"": each}, column, columns)
        else:
            _replace(child, column, columns)


def _not(node: Node) -> Node:
    return {"class": "OPERATOR", "type": "OPERATOR_NOT", "children": [node]}


def _unusable(expression: str, why: str) -> UserError:
    reason = why.splitlines()[0].removeprefix("Parser Error: ").removeprefix("Binder Error: ")
    return UserError(
        f"The filter {expression!r} is no condition that can be used: {reason}. "
        "Write it as SQL does, for instance: score < 0.3 and word = 'cup'."
    )
