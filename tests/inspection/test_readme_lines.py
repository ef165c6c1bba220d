"""The README's lines for reading the tables do what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import commands

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Read the tables\n")[2].partition("The checkpoints under")[0]
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
LINES = [
    line.partition("#")[0].strip() for line in SECTION.splitlines() if line.startswith("    patchwords ")
]
EXPECTED = {
    "polars": ["A red cup", "wooden table"],
    "duckdb": ["3\n", "wooden", "│", "0.125"],
    "datasets": ["A red cup [0.5, 1.0, 0.25]"],
}


@pytest.fixture
def project(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with ``data``."""
    monkeypatch.chdir(data.parent)
    monkeypatch.setenv("HF_HOME", str(data.parent / "cache"))
    return data.parent


@pytest.mark.parametrize("tool", EXPECTED)
def test_the_lines_of_each_tool_run_and_print_the_rows(
    project: Path, tool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = [block for block in BLOCKS if f"import {tool}" in block]
    if tool == "datasets":
        import datasets

        datasets.disable_progress_bars()
        block = block.replace('split="train")', 'split="train", cache_dir="cache")')
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    told = capsys.readouterr().out
    for expected in EXPECTED[tool]:
        assert expected in told


def test_every_tool_of_the_readme_is_run() -> None:
    assert len(BLOCKS) == len(EXPECTED) and len(LINES) == 6


@pytest.mark.parametrize("line", [line for line in LINES if "--rev" not in line])
def test_the_commands_of_the_readme_run(project: Path, line: str) -> None:
    arguments = shlex.split(line.replace("PHRASE_ID", "790/c41/p0"))[1:]
    if arguments[0] == "export":
        arguments += ["--root", "data/raw"]
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, result.output
