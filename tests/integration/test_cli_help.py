"""`signoff --help`: at once, everywhere, with examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.cli_cases import signoff
from typer.core import TyperGroup
from typer.main import get_command

from signoff.cli.main import app

HEAVY = ("asyncpg", "pydantic", "pydantic_ai", "cel_expr_python", "onnxruntime", "fastapi", "cedarpy", "httpx", "numpy")
MOST_MODULES = 520


def _commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found = [(path, command)]
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            found += _commands(inner, (*path, name))
    return found


def test_help_imports_nothing_heavy() -> None:
    # The modules are counted rather than the time, which depends on what else the machine does.
    program = (
        "import sys; from signoff.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    modules = set(done.stderr.split())
    assert "reviews" in done.stdout
    assert not modules & set(HEAVY)
    assert len(modules) < MOST_MODULES, len(modules)


def test_every_command_has_a_help_text_and_leaf_commands_an_example() -> None:
    for path, command in _commands(get_command(app)):
        assert command.help, path
        if not isinstance(command, TyperGroup):
            assert "Example" in (command.epilog or ""), path


@pytest.mark.parametrize("arguments", [(), ("--help",), ("runs", "show", "-h"), ("reviews", "approve", "--help")])
def test_help_is_printed(arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = signoff(*arguments, cwd=tmp_path)
    assert "Usage: signoff" in result.out + result.err
    assert "Traceback" not in result.err


def test_wrong_usage_exits_with_2(tmp_path: Path) -> None:
    for arguments in (("rnu",), ("runs", "show", "no-id"), ("run", "x", "--priority", "10"), ("reviews", "reject")):
        result = signoff(*arguments, cwd=tmp_path)
        assert result.code == 2, arguments
        assert "Traceback" not in result.err
