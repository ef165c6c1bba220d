"""Elements of lists in conditions: ``word = 'cup'`` becomes a condition on the list ``words``."""

from __future__ import annotations

import copy
import difflib

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.inspection.engine import Node, children, tree

Columns = dict[str, pa.Field]
"""A table's columns by their names in small letters."""

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


def names(schema: pa.Schema) -> list[str]:
    """The names that a condition on such a table may use: its columns, then the names of elements."""
    elements = [
        name
        for name, (column, part) in ELEMENTS.items()
        if name not in schema.names and column in schema.names and _has(schema.field(column).type, part)
    ]
    return [*schema.names, *elements]


def resolve(path: list[str], columns: Columns) -> tuple[str, list[str]] | None:
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


def on_lists(node: Node, columns: Columns) -> Node:
    """The node with names checked and predicates on elements made predicates on their lists."""
    kind = node["class"]
    if kind == "CONJUNCTION" or node["type"] == "OPERATOR_NOT":
        return {**node, "children": [on_lists(child, columns) for child in node["children"]]}
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


def _is_predicate(node: Node) -> bool:
    return node["type"] in _CONSTANT_OPERATORS or (
        node["class"] == "FUNCTION"
        and (node["function_name"] in _PREDICATES or node["function_name"] in _NEGATED)
    )


def _lists(node: Node, columns: Columns) -> set[str]:
    """The list columns of which a predicate names elements; a list that a function takes whole is not one."""
    if any(child.get("function_name") == "list_value" for child in children(node)):
        return set()  # a list is compared with a list
    found: set[str] = set()
    for child in children(node):
        if child["class"] == "COLUMN_REF":
            resolved = resolve(child["column_names"], columns)
            found |= {resolved[0]} if resolved else set()
        elif _takes_lists(child):
            found |= _lists({"": [each for each in children(child) if not _is_list(each, columns)]}, columns)
        else:
            found |= _lists(child, columns)
    return found


def _takes_lists(node: Node) -> bool:
    return node["type"] in ("ARRAY_EXTRACT", "ARRAY_SLICE") or node.get("function_name") in OF_LISTS


def _is_list(node: Node, columns: Columns) -> bool:
    """Whether a node is the name of a list column as a whole."""
    return node["class"] == "COLUMN_REF" and node["column_names"] == [
        columns[node["column_names"][0].lower()].name if node["column_names"][0].lower() in columns else ""
    ]


def _any(column: str, predicate: Node, columns: Columns) -> Node:
    """The condition that the predicate holds for some element of the list."""
    inside = copy.deepcopy(predicate)
    _replace(inside, column, columns)
    outer = tree(f'len(list_filter("{column}", lambda element_: placeholder_)) > 0')
    found = outer["statements"][0]["node"]["where_clause"]
    of_list = found["left"]["arguments"][0]["expression"]
    of_list["arguments"][1]["expression"]["expr"] = inside
    return found


def _replace(node: Node, column: str, columns: Columns) -> None:
    for child in children(node):
        if child["class"] == "COLUMN_REF":
            resolved = resolve(child["column_names"], columns)
            if resolved and resolved[0] == column:
                child["column_names"] = ["element_", *resolved[1]]
        elif _takes_lists(child):
            for each in children(child):
                if not _is_list(each, columns):
                    _replace({"": each}, column, columns)
        else:
            _replace(child, column, columns)


def _not(node: Node) -> Node:
    return {"class": "OPERATOR", "type": "OPERATOR_NOT", "children": [node]}


def _has(kind: pa.DataType, part: str | None) -> bool:
    """Whether a type, or that of a list's elements, has a field."""
    if pa.types.is_list(kind):
        kind = kind.value_type
    return part is None or (pa.types.is_struct(kind) and kind.get_field_index(part) >= 0)


def _no_column(name: str, columns: Columns) -> UserError:
    known = names(pa.schema(list(columns.values())))
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f" Did you mean {close[0]}?" if close else " Text goes in single quotes, as in word = 'cup'."
    return UserError(
        f"The filter names {name!r}, and there is no such column.{hint} There are: {', '.join(known)}."
    )
