"""The house rules that a machine can check. Each message says what to do; none has an exceptions file."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_settings import BaseSettings

import signoff

CHECKOUT = Path(__file__).parents[2]
SOURCE = CHECKOUT / "src" / "signoff"

LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 60
MOST_PUBLIC_NAMES = 15

# Where a library may be imported, as prefixes of paths below src/signoff.
HOMES = {
    "asyncpg": ("foundation/",),  # and store.py files
    "psycopg": ("foundation/database/",),
    "yoyo": ("foundation/database/",),
    "fastapi": ("api/",),
    "starlette": ("api/",),
    "uvicorn": ("api/", "cli/"),
    "typer": ("cli/",),
    "cedarpy": ("governance/policy/",),
    "cel_expr_python": ("workflows/",),
    "openai": ("capabilities/gateway/providers/",),
    "anthropic": ("capabilities/gateway/providers/",),
    "google.genai": ("capabilities/gateway/providers/",),
    "pydantic_ai": ("capabilities/gateway/providers/",),
    "onnxruntime": ("capabilities/gateway/providers/",),
    "tokenizers": ("capabilities/gateway/providers/",),
    "xllamacpp": ("capabilities/gateway/providers/",),
}

SQL = re.compile(
    r"(?is)^\s*(--[^\n]*\n\s*)*(WITH\s+(RECURSIVE\s+)?\w+\s.*\bAS\b|SELECT\s+.+\bFROM\b|SELECT\s+\w+\(|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s"
    r"|DELETE\s+FROM\s|CREATE\s+(TABLE|INDEX|FUNCTION|ROLE|POLICY)\s|ALTER\s+TABLE\s|DROP\s+TABLE\s|SET\s+ROLE\s|TRUNCATE\s)"
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def short(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@cache
def imported(module: ast.Module) -> tuple[str, ...]:
    """Every module that a file imports, also inside functions, and by a constant name given to `import_module`."""
    return tuple(_imported(module))


def _imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__", "find_spec"} and isinstance(node.args[0].value, str):
                yield node.args[0].value


@cache  # asked for at each constant, of which lists of words have thousands
def docstrings(module: ast.Module) -> set[int]:
    """The identities of the constants that are docstrings, or stand alone as one."""
    return {
        id(node.value)
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def test_imports_run_one_way() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize("library", HOMES)
def test_each_library_stays_in_its_home(library: str) -> None:
    strays = {
        short(path)
        for path in sources()
        for name in imported(tree(path))
        if (name == library or name.startswith(f"{library}."))
        and not short(path).startswith(HOMES[library])
        and not (library == "asyncpg" and path.name == "store.py")
    }
    assert strays == set(), f"{library} belongs in {', '.join(HOMES[library])}"


def test_sql_is_written_in_stores_only() -> None:
    strays = [
        f"{short(path)}:{node.lineno}: {node.value.strip()[:50]!r}"
        for path in sources()
        if path.name != "store.py" and not short(path).startswith("foundation/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings(tree(path))
        if SQL.match(node.value)
    ]
    assert strays == [], "put SQL into the room's store.py as a named constant"


def test_sql_takes_parameters_and_is_never_put_together() -> None:
    strays = [
        f"{short(path)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.JoinedStr)
        and isinstance(node.values[0], ast.Constant)
        and SQL.match(str(node.values[0].value))
        and not all(_is_constant(part) for part in node.values)
    ]
    assert strays == [], "write the statement out and pass values as $1, $2, …"


def _is_constant(part: ast.expr) -> bool:
    """Text, or a named constant of the module such as a list of columns."""
    if isinstance(part, ast.FormattedValue):
        return isinstance(part.value, ast.Name) and part.value.id.isupper()
    return isinstance(part, ast.Constant)


def test_files_stay_short() -> None:
    long = {
        f"{path.relative_to(CHECKOUT)}: {count}"
        for path in (*sources(), *sorted((CHECKOUT / "tests").rglob("*.py")))
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE_LINES
    }
    assert long == set(), f"a file past {LONGEST_FILE_LINES} lines wants splitting"


def test_functions_fit_a_screen() -> None:
    long = {
        f"{short(path)}:{node.lineno} {node.name}: {count}"
        for path in sources()
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (count := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION_LINES
    }
    assert long == set(), f"a function past {LONGEST_FUNCTION_LINES} lines wants splitting"


def test_the_public_face_of_a_room_is_small_and_true() -> None:
    wrong: list[str] = []
    for path in sources():
        if path.name != "__init__.py":
            continue
        name = ".".join(("signoff", *path.parent.relative_to(SOURCE).parts))
        public: list[str] = getattr(importlib.import_module(name), "__all__", [])
        if len(public) > MOST_PUBLIC_NAMES:
            wrong.append(f"{name} shows {len(public)} names, at most {MOST_PUBLIC_NAMES} are wanted")
        wrong += [f"{name}.{word} is in __all__ but does not exist" for word in public if not _has(name, word)]
    assert wrong == []


def _has(module_name: str, word: str) -> bool:
    return hasattr(importlib.import_module(module_name), word)


def test_nothing_is_left_unfinished() -> None:
    marks = [
        f"{short(path)}:{number}: {line.strip()}"
        for path in sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if UNFINISHED.search(line)
    ]
    assert marks == []


def test_what_is_silenced_says_why() -> None:
    mute = re.compile(r"#\s*(noqa|type: ignore|pyright: ignore)(?!.*\(.+\)|.*#.*#)")
    silent = [
        f"{path.relative_to(CHECKOUT)}:{number}: {line.strip()}"
        for path in sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if mute.search(line)
    ]
    assert silent == [], "add the reason in parentheses behind it"


def _settings_models() -> Iterator[type[BaseModel]]:
    for module in pkgutil.walk_packages(signoff.__path__, "signoff."):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if (
                isinstance(value, type)
                and issubclass(value, BaseModel)
                and (value.__name__.endswith("Settings") or issubclass(value, BaseSettings))
                and value.__module__.startswith("signoff.")
            ):
                yield value


def test_every_setting_is_described() -> None:
    bare = {
        f"{model.__name__}.{name}"
        for model in _settings_models()
        for name, field in model.model_fields.items()
        if not (field.description or f"{name}: " in (model.__doc__ or ""))
    }
    assert bare == set(), "say in a Field(description=…) or among the Attributes what it limits and in which unit"


def test_test_files_have_names_of_their_own() -> None:
    seen: dict[str, Path] = {}
    twice: list[str] = []
    for path in sorted((CHECKOUT / "tests").rglob("test_*.py")):
        if path.name in seen:
            twice.append(f"{path} and {seen[path.name]}")
        seen[path.name] = path
    assert twice == []
