"""Which of the project's own files a module uses, by reading its imports, lazy ones included."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def file_of(module: str) -> str | None:
    """The module's file below the project, if it is one of the project's."""
    base = Path(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py", base / "__main__.py"):
        if (ROOT / path).is_file():
            return path.as_posix()
    return None


@cache
def direct(path: str) -> frozenset[str]:
    """Files that the file imports itself."""
    named = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # What is imported may be a module of its own.
            named |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(file for name in named if (file := file_of(name)))


def closure(module: str) -> set[str]:
    """Every file of the project that running the module may use."""
    start = Path(*module.split("."), "__main__.py").as_posix()
    found, todo = set(), [start if (ROOT / start).is_file() else file_of(module)]
    while todo:
        path = todo.pop()
        if path is not None and path not in found:
            found.add(path)
            todo.extend(direct(path))
    return found
