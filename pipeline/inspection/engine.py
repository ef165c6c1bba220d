"""DuckDB, shut in: it parses conditions, and works them out over Arrow tables that are handed to it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import duckdb

Node = dict[str, Any]
"""A node of DuckDB's parse: its ``class``, its ``type``, and its children under names of their own."""


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


def tree(where: str) -> Node:
    """DuckDB's parse of ``SELECT 1 FROM t WHERE ...``: nothing is run, no table is looked up."""
    call = "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true, skip_default := true)"
    return json.loads(_value(call, f"SELECT 1 FROM t WHERE {where}"))


def text(where: Node) -> str:
    """A parsed condition as SQL again."""
    whole = tree("true")
    whole["statements"][0]["node"]["where_clause"] = where
    select = _value("SELECT json_deserialize_sql(?)", json.dumps(whole))
    return f"({select.partition(' WHERE ')[2]})"


def children(node: Node) -> list[Node]:
    """The expressions right below a node: whatever in it carries a class."""
    found: list[Node] = []
    for value in node.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                found += [each] if "class" in each else children(each)
    return found


def _value(call: str, given: str) -> str:
    with connection() as database:
        return database.execute(call, [given]).fetchall()[0][0]
