"""What `signoff check` says of the code of workflows in Python: calls whose answer differs when a run is run again.

It reads text and cannot see everything; the driver finds the rest when a run disagrees with its journal. A line that is
fine for a reason says so: `# signoff: deterministic because the set has one member`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from signoff.core.errors import Problem
from signoff.workflows.python.syntax import Function, Source, context_names

MAX_WARNINGS = 200
"""Warnings of one file."""

_TOOL = "Do it in a tool, and await ctx.tool(…)."
_TIME = "Use ctx.now(), the time of the event that the workflow goes on from."
_CHANCE = "Use ctx.random() or ctx.uuid()."
_WAIT = "Await ctx.wait(…), which lasts through restarts."
_GATHER = "Use ctx.gather(…), whose branches are replayed in order."

INSTEAD: Mapping[str, str] = {
    "time.sleep": _WAIT,
    "asyncio.sleep": _WAIT,
    "asyncio.wait_for": "Give the command a timeout.",
    "asyncio.timeout": "Give the command a timeout.",
    "asyncio": _GATHER,
    "anyio": _GATHER,
    "trio": _GATHER,
    "threading": _GATHER,
    "multiprocessing": _GATHER,
    "concurrent": _GATHER,
    "time": _TIME,
    "datetime.datetime.now": _TIME,
    "datetime.datetime.utcnow": _TIME,
    "datetime.datetime.today": _TIME,
    "datetime.date.today": _TIME,
    "random": _CHANCE,
    "secrets": _CHANCE,
    "numpy.random": _CHANCE,
    "uuid.uuid1": _CHANCE,
    "uuid.uuid4": _CHANCE,
    "uuid.uuid6": _CHANCE,
    "uuid.uuid7": _CHANCE,
    "os": "Take it from the input, or from a tool.",
    "platform": "Take it from the input, or from a tool.",
    "locale": "Take it from the input, or from a tool.",
    **dict.fromkeys(
        (
            *("socket", "ssl", "http", "urllib.request", "ftplib", "smtplib", "subprocess", "shutil", "sqlite3"),
            *("requests", "httpx", "aiohttp", "urllib3", "boto3", "asyncpg", "psycopg", "psycopg2", "sqlalchemy"),
            *("redis", "pymongo", "openai", "anthropic", "tempfile", "glob"),
        ),
        _TOOL,
    ),
}
"""What not to call, by the longest name that fits, and what to do instead."""

BUILTINS: Mapping[str, str] = {
    "open": _TOOL,
    "input": "Await ctx.review(…) or ctx.event(…).",
    "hash": "Python salts it: it differs in each process. Use hashlib.",
    "id": "It is an address in memory. Use a name or a number of your own.",
}
PATH_METHODS = frozenset({"read_text", "read_bytes", "write_text", "write_bytes", "iterdir", "exists", "stat", "mkdir"})
VERBS = frozenset(
    [
        *("ai", "agent", "plan", "model", "tool", "retrieve", "check", "decide", "review", "emit", "wait", "event"),
        *("call", "gather"),
    ]
)

_GROWING = ("append", "appendleft", "add", "extend", "insert", "update", "setdefault")
_CHANGES = frozenset({*_GROWING, "pop", "popitem", "remove", "discard", "clear", "sort", "reverse"})
_COLLECTIONS = ("defaultdict", "deque", "OrderedDict", "Counter")
_MUTABLE_CALLS = frozenset({"list", "dict", "set", "bytearray", *(f"collections.{name}" for name in _COLLECTIONS)})
_UNORDERED_TAKERS = frozenset({"list", "tuple", "enumerate", "iter", "next", "zip", "map", "filter", "join"})
_ESCAPE = re.compile(r"#\s*signoff:\s*deterministic\b[\s:,-]*(?P<reason>.*)$")


def lint(source: Source) -> list[Problem]:
    """Everything in a file that may come out otherwise when a run is run again, by line."""
    found = [*_calls(source), *_sets(source), *_globals(source), *_lost(source)]
    kept: list[Problem] = []
    for problem in sorted(set(found), key=lambda problem: (problem.line or 0, problem.column or 0)):
        escape = _ESCAPE.search(source.lines[(problem.line or 1) - 1])
        if escape is None:
            kept.append(problem)
        elif not escape["reason"].strip():
            detail = "'# signoff: deterministic' wants a reason."
            hint = "Write why behind it: # signoff: deterministic because …"
            kept.append(Problem(detail, source.file, problem.line, problem.column, suggestion=hint, code="escape"))
    return kept[:MAX_WARNINGS]


def _calls(source: Source) -> Iterator[Problem]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            name = source.meaning(node.func)
            if isinstance(node.func, ast.Name) and node.func.id in BUILTINS and name is None:
                yield _told(source, node, f"{node.func.id}()", BUILTINS[node.func.id])
            elif name is not None and (instead := _instead(name)) is not None:
                yield _told(source, node, f"{name}()", instead)
            elif (
                isinstance(node.func, ast.Attribute) and node.func.attr in PATH_METHODS and _is_path(source, node.func)
            ):
                yield _told(source, node, f"{node.func.attr}()", _TOOL)
        elif isinstance(node, ast.Attribute) and source.meaning(node) in ("os.environ", "sys.argv"):
            yield _told(source, node, str(source.meaning(node)), "Take it from the input, or from a tool.")


def _instead(name: str) -> str | None:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        found = INSTEAD.get(".".join(parts[:length]))
        if found is not None:
            return None if name.startswith(("os.path.", "time.strftime", "time.struct_time")) else found
    return None


def _is_path(source: Source, node: ast.Attribute) -> bool:
    called = node.value
    return isinstance(called, ast.Call) and source.meaning(called.func) in ("pathlib.Path", "pathlib.PurePath")


def _sets(source: Source) -> Iterator[Problem]:
    """Places where the order of a set's members decides what happens: it differs in each process."""
    for scope in (source.tree, *source.functions()):
        known = {
            target.id
            for node in _own(scope)
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None and _is_set(node.value, set())
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in _own(scope):
            used = None
            if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
                used = node.iter
            elif isinstance(node, ast.Call) and _called(node) in _UNORDERED_TAKERS and node.args:
                used = node.args[0]
            elif isinstance(node, ast.Starred):
                used = node.value
            if used is not None and _is_set(used, known):
                yield _told(source, used, "The order of a set", "Go through sorted(…).")


def _is_set(node: ast.expr, known: set[str]) -> bool:
    if isinstance(node, (ast.Set, ast.SetComp)) or (isinstance(node, ast.Name) and node.id in known):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)):
        return _is_set(node.left, known) or _is_set(node.right, known)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")


def _globals(source: Source) -> Iterator[Problem]:
    """Functions that change what is kept beside the runs: each worker has its own, and no journal knows of it."""
    kept = {
        target.id
        for node in source.tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None and _is_mutable(source, node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for function in source.functions():
        shared = kept - _locals(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Global):
                yield _changed(source, node, ", ".join(node.names))
            elif isinstance(node, ast.Call):
                name, method = _method(node)
                if name in shared and method in _CHANGES:
                    yield _changed(source, node, name)
            elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                name = node.value.id if isinstance(node.value, ast.Name) else ""
                if name in shared:
                    yield _changed(source, node, name)


def _is_mutable(source: Source, node: ast.expr) -> bool:
    if isinstance(node, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)):
        return True
    if not isinstance(node, ast.Call):
        return False
    name = source.meaning(node.func) or (node.func.id if isinstance(node.func, ast.Name) else "")
    return name in _MUTABLE_CALLS


def _locals(function: Function) -> set[str]:
    """The names that a function binds itself, so that they are not the module's."""
    outside = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    bound = {argument.arg for argument in every if argument is not None}
    bound |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return bound - outside


def _lost(source: Source) -> Iterator[Problem]:
    """Commands that nothing awaits, so that they never begin."""
    for function in source.functions():
        contexts = context_names(source, function)
        for node in ast.walk(function):
            call = node.value if isinstance(node, ast.Expr) else None
            name, verb = _method(call) if isinstance(call, ast.Call) else ("", "")
            if call is not None and name in contexts and verb in VERBS:
                detail = f"Nothing awaits this {name}.{verb}(…), so it never begins."
                hint = "Write await before it, or give it to ctx.gather(…)."
                column = call.col_offset + 1
                yield Problem(detail, source.file, call.lineno, column, suggestion=hint, code="not-awaited")


def _method(node: ast.Call) -> tuple[str, str]:
    """Of `name.method(…)` both names; empty of other calls."""
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        return node.func.value.id, node.func.attr
    return "", ""


def _own(scope: ast.Module | Function) -> Iterator[ast.AST]:
    """The nodes of a function or module, without those of functions inside it."""
    todo: list[ast.AST] = list(ast.iter_child_nodes(scope))
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            todo += ast.iter_child_nodes(node)


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _told(source: Source, node: ast.expr, what: str, instead: str) -> Problem:
    detail = f"{what} may differ when the run is run again."
    return Problem(detail, source.file, node.lineno, node.col_offset + 1, suggestion=instead, code="non-deterministic")


def _changed(source: Source, node: ast.stmt | ast.expr, name: str) -> Problem:
    detail = f"A function changes '{name}' of its module, which other runs share and no journal knows."
    hint = "Keep it in a variable of the workflow."
    return Problem(detail, source.file, node.lineno, node.col_offset + 1, suggestion=hint, code="shared-state")
