"""CEL's tree: parsing, checking and reading it back, through the CEL project's own parser and checker.

The library gives a compiled expression as bytes of `cel.expr.ParsedExpr` or `cel.expr.CheckedExpr`
(https://github.com/google/cel-spec, proto/cel/expr/{syntax,checked}.proto) without Python classes for them, so the part
of those messages that we read is declared here, in a descriptor pool of our own.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import field
from functools import lru_cache
from typing import Any, NoReturn

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from signoff.core.values import value

_TYPE = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _TYPE.TYPE_STRING,
    "bytes": _TYPE.TYPE_BYTES,
    "bool": _TYPE.TYPE_BOOL,
    "int64": _TYPE.TYPE_INT64,
    "uint64": _TYPE.TYPE_UINT64,
    "int32": _TYPE.TYPE_INT32,
    "double": _TYPE.TYPE_DOUBLE,
}
# message: "number name type[*]" per field; `*` is repeated, `=` is a member of the oneof `kind`.
_MESSAGES = {
    "Ident": "1 name string",
    "Select": "1 operand Expr, 2 field string, 3 test_only bool",
    "Call": "1 target Expr, 2 function string, 3 args Expr*",
    "CreateList": "1 elements Expr*, 2 optional_indices int32*",
    "Entry": "1 id int64, 2 field_key string=, 3 map_key Expr=, 4 value Expr, 5 optional_entry bool",
    "CreateStruct": "1 message_name string, 2 entries Entry*",
    "Comprehension": "1 iter_var string, 8 iter_var2 string, 2 iter_range Expr, 3 accu_var string, 4 accu_init Expr, "
    "5 loop_condition Expr, 6 loop_step Expr, 7 result Expr",
    "Constant": "1 null_value int32=, 2 bool_value bool=, 3 int64_value int64=, 4 uint64_value uint64=, "
    "5 double_value double=, 6 string_value string=, 7 bytes_value bytes=",
    "Expr": "2 id int64, 3 const_expr Constant=, 4 ident_expr Ident=, 5 select_expr Select=, 6 call_expr Call=, "
    "7 list_expr CreateList=, 8 struct_expr CreateStruct=, 9 comprehension_expr Comprehension=",
    "Position": "1 key int64, 2 value int32",
    "SourceInfo": "4 positions Position*",
    "ParsedExpr": "2 expr Expr, 3 source_info SourceInfo",
    "ListType": "1 elem_type Type",
    "AbstractType": "1 name string, 2 parameter_types Type*",
    "Type": "1 dyn Ident=, 2 null int32=, 3 primitive int32=, 4 wrapper int32=, 5 well_known int32=, "
    "6 list_type ListType=, 7 map_type ListType=, 9 message_type string=, 10 type_param string=, 11 type Ident=, "
    "14 abstract_type AbstractType=",
    "TypeOf": "1 key int64, 2 value Type",
    "CheckedExpr": "3 type_map TypeOf*, 4 expr Expr, 5 source_info SourceInfo",
}
MAX_TREES = 5_000
"""Parsed sources that are kept, all dropped when there are more: documents say the same things again and again."""

MAX_ENVIRONMENTS = 128
"""Sets of names whose environments are kept: making one takes a third of a millisecond."""

_trees: dict[str, tuple[Tree, frozenset[str]]] = {}
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ERROR = re.compile(r"ERROR: [^\n]*?:(?P<line>\d+):(?P<column>\d+): (?P<text>[^\n]*)")
_CROSS_NUMERIC = re.compile(r"applied to '\((int|uint|double), (int|uint|double)\)'")


@value
class Fault:
    """What CEL's parser or checker rejects, at an offset into the source."""

    text: str
    offset: int


class CelSyntaxError(Exception):
    """A source that is no CEL, or does not type-check. Internal: the compiler makes problems of it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults[0].text)
        self.faults = faults


@value
class Tree:
    """A parsed and checked expression.

    Attributes:
        source: as written.
        root: `cel.expr.Expr`.
        positions: offset into the source by node id.
        types: `cel.expr.Type` by node id; empty where only our own checker could take it.
        names: every word of the source: what it names is among them.
        prepared: what whoever compiles it has made of it, to be found again.
    """

    source: str
    root: Any
    positions: dict[int, int]
    types: dict[int, Any]
    names: frozenset[str] = field(compare=False)
    prepared: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any], compare=False, repr=False)


class Checker:
    """CEL's checker for expressions over given variables, all of dynamic type: fields are checked by us."""

    def __init__(self, roots: Iterable[str]) -> None:
        self._roots = frozenset(roots)

    def parse(self, source: str) -> Tree:
        """Parse and check. The tree is shared by all who parse the same source: nobody changes it.

        Raises:
            CelSyntaxError: with every fault.
        """
        # All variables have the dynamic type, so a tree is the same wherever the variables that it names are there.
        known = _trees.get(source)
        if known is not None and known[1] <= self._roots:
            return known[0]
        tree = self._parse(source)
        if len(_trees) >= MAX_TREES:
            _trees.clear()
        _trees[source] = (tree, self._roots & tree.names)
        return tree

    def _parse(self, source: str) -> Tree:
        checker = _checking_env(self._roots)
        try:
            return _tree(source, checker.compile(source).serialize())
        except (RuntimeError, ValueError, TypeError) as error:
            faults = [fault for fault in _faults(source, str(error)) if not _CROSS_NUMERIC.search(fault.text)]
            if faults:
                raise CelSyntaxError(faults) from None
        # The checker separates int from double, JSON does not: evaluation compares them and we convert arithmetic.
        return _tree(source, checker.compile(source, disable_check=True).serialize())


def program(root: Any) -> Any:
    """An evaluable expression of a tree, as rewritten by us.

    Raises:
        CelSyntaxError: it nests deeper than protocol buffers can.
    """
    parsed: Any = message("ParsedExpr")()
    parsed.expr.CopyFrom(root)
    packed = any_pb2.Any(type_url="type.googleapis.com/cel.expr.ParsedExpr", value=parsed.SerializeToString())
    try:
        return _evaluation_env().deserialize(packed.SerializeToString())
    except RuntimeError:
        _too_deep()


@lru_cache(maxsize=1)
def _messages() -> dict[str, Any]:
    package = "signoff.cel"
    file = descriptor_pb2.FileDescriptorProto(name="signoff/cel.proto", package=package, syntax="proto3")
    for name, fields in _MESSAGES.items():
        declared = file.message_type.add(name=name)
        for text in fields.split(", "):
            number, field_name, kind = text.split(" ")
            base = kind.rstrip("*=")
            made = declared.field.add(name=field_name, number=int(number))
            made.label = _TYPE.LABEL_REPEATED if kind.endswith("*") else _TYPE.LABEL_OPTIONAL
            made.type = _SCALARS.get(base, _TYPE.TYPE_MESSAGE)
            if base not in _SCALARS:
                made.type_name = f".{package}.{base}"
            if kind.endswith("="):
                if not declared.oneof_decl:
                    declared.oneof_decl.add(name="kind")
                made.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # pyright: ignore[reportUnknownMemberType]  (untyped in the stubs)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in _MESSAGES
    }


def message(name: str) -> Any:
    """The class of a message declared above."""
    return _messages()[name]


@lru_cache(maxsize=MAX_ENVIRONMENTS)
def _checking_env(roots: frozenset[str]) -> Any:
    # Imported here, as only compiling needs these 30 ms of C++. The package keeps its stubs where no tool looks.
    from cel_expr_python import cel  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]  (loaded when first used; has no types)

    return cel.NewEnv(variables=dict.fromkeys(roots, cel.Type.DYN), extensions=_extensions())


@lru_cache(maxsize=1)
def _evaluation_env() -> Any:
    from cel_expr_python import cel  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]  (see above)

    return cel.NewEnv(extensions=_extensions())


def _extensions() -> list[Any]:
    from cel_expr_python.ext import (  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]  (see above)
        ext_math,
        ext_optional,
        ext_strings,
    )

    return [ext_optional.ExtOptional(), ext_math.ExtMath(), ext_strings.ExtStrings()]


def _tree(source: str, serialized: bytes) -> Tree:
    packed = any_pb2.Any.FromString(serialized)
    try:
        tree: Any = message(packed.type_url.rpartition(".")[2]).FromString(packed.value)
    except DecodeError:
        _too_deep()
    positions = {item.key: item.value for item in tree.source_info.positions}
    types = {item.key: item.value for item in getattr(tree, "type_map", ())}
    return Tree(source, tree.expr, positions, types, frozenset(_WORD.findall(source)))


def _too_deep() -> NoReturn:
    # Protocol buffers stop at a hundred messages inside each other, which also bounds all our recursion over trees.
    raise CelSyntaxError([Fault("it nests too deep; move parts into `set` steps", 0)])


def _faults(source: str, text: str) -> list[Fault]:
    lines = source.split("\n")
    faults: list[Fault] = []
    for match in _ERROR.finditer(text):
        line, column = int(match["line"]), int(match["column"])
        before = sum(len(previous) + 1 for previous in lines[: line - 1])
        faults.append(Fault(match["text"].removesuffix(" [INVALID_ARGUMENT]"), min(before + column - 1, len(source))))
        if faults[0].text.startswith(("Syntax error", "reserved identifier")):
            break  # those after it follow from it
    return faults or [Fault(text.split("\n", 1)[0].removeprefix("INVALID_ARGUMENT: "), 0)]
