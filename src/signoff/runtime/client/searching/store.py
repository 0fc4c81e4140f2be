"""SQL of searches: fragments that are joined by AND, each with its values as parameters.

All of them compare by operators that are leakproof (of text, bigint, double precision, timestamptz, uuid), so that
PostgreSQL uses their indexes under row-level security. Prefixes are ranges for that reason: LIKE is not leakproof.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from signoff.core.labels import DataClass
from signoff.core.words import words_of
from signoff.foundation.database import Connection, Record
from signoff.runtime.client import store
from signoff.runtime.client.searching.grammar import Condition, RunFilter, Value, as_moment

# A cached plan knows no values: it would be the same for a rare attribute and a frequent one, and wrong for either.
PLAN_ANEW = "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)"

# A loose scan over the index: as many steps as there are workflows, however many runs there are.
WORKFLOW_NAMES = """
WITH RECURSIVE name AS (
    (SELECT workflow FROM run WHERE org_id = $1 ORDER BY workflow LIMIT 1)
    UNION ALL
    SELECT next.workflow FROM name CROSS JOIN LATERAL (
        SELECT workflow FROM run WHERE org_id = $1 AND workflow > name.workflow ORDER BY workflow LIMIT 1
    ) next
)
SELECT workflow AS name FROM name LIMIT $2
"""

OUTCOME_NAMES = """
WITH RECURSIVE name AS (
    (SELECT outcome FROM run_view WHERE org_id = $1 AND outcome IS NOT NULL ORDER BY outcome LIMIT 1)
    UNION ALL
    SELECT next.outcome FROM name CROSS JOIN LATERAL (
        SELECT outcome FROM run_view WHERE org_id = $1 AND outcome > name.outcome ORDER BY outcome LIMIT 1
    ) next
)
SELECT outcome AS name FROM name LIMIT $2
"""

# How many runs bear one of these names, counted no further than needed to tell few from many.
NAMED = """
SELECT (SELECT count(*) FROM (SELECT FROM run WHERE org_id = $1 AND workflow = ANY ($2::text[]) LIMIT $4) w)
    + (SELECT count(*) FROM (SELECT FROM run_view WHERE org_id = $1 AND outcome = ANY ($3::text[]) LIMIT $4) o)
"""

# Newest first by key, so that a page is a range of an index whatever the page's number.
_FIND_HEAD = store.SUMMARY + "WHERE r.org_id = $1 AND v.org_id = $1"
_FIND_TAIL = " ORDER BY r.run_id DESC LIMIT {limit}"

_BEFORE = "r.run_id < {}"
_FROM_ID = "r.run_id >= {}"
_COLUMNS = {
    "workflow": "r.workflow",
    "release": "coalesce(v.release, r.release)",
    "outcome": "v.outcome",
    "started_by": "r.started_by",
    "class": "v.data_class",
    "started": "r.started_at",
    "updated": "v.updated_at",
    "ended": "v.ended_at",
}
# The planner may begin with the few runs that workers hold. Others are looked up one by one until a page is full.
_RUNNING = """(v.status IN ('queued', 'waiting')
    AND EXISTS (SELECT FROM run_queue q WHERE q.run_id = v.run_id AND q.owner IS NOT NULL))"""
_STATUS = """(v.status = {} AND (v.status NOT IN ('queued', 'waiting')
    OR (SELECT q.owner FROM run_queue q WHERE q.run_id = v.run_id) IS NULL))"""

# One row decides, so that the planner may go either way: from the attribute's index to its runs, or from the newest
# runs to their attribute.
_ATTRIBUTE = (
    "EXISTS (SELECT FROM run_attribute a"
    " WHERE a.org_id = $1 AND a.run_id = r.run_id AND a.name = {name} AND ({compared}))"
)
_COMPARED = "a.{column} {operator} {value}"
_PREFIXED = "a.text_value >= {value} AND a.text_value < {end}"
_OR = " OR "
_WORD = "SELECT w.run_id FROM run_word w WHERE w.org_id = $1 AND w.word >= {value} AND w.word < {end}"
_OF_WORKFLOWS = "SELECT n.run_id FROM run n WHERE n.org_id = $1 AND n.workflow = ANY ({names}::text[])"
_OF_OUTCOMES = "SELECT n.run_id FROM run_view n WHERE n.org_id = $1 AND n.outcome = ANY ({names}::text[])"
_AMONG = "r.run_id IN ({})"
# Where many runs bear a name that matches: newest first, a page is full soon. Joining them all first took 0.7 s.
_FREQUENT = (
    "(r.workflow = ANY ({workflows}::text[]) OR v.outcome = ANY ({outcomes}::text[]) OR EXISTS ("
    "SELECT FROM run_word w WHERE w.org_id = $1 AND w.run_id = r.run_id AND w.word >= {value} AND w.word < {end}))"
)
_EITHER = " UNION ALL "

FREQUENT_RUNS = 2000
"""From so many runs on, the names that a word matches count as frequent."""
NAMES_SEARCHED = 1000
"""Workflows, and outcomes, whose names free text is compared with, per organisation."""


async def find(
    connection: Connection, org_id: UUID, wanted: RunFilter, *, before: UUID | None, since: UUID | None, limit: int
) -> list[Record]:
    """Rows of `client.store.SUMMARY`, newest first."""
    query = await _query(connection, org_id, wanted, before=before, since=since)
    statement = _FIND_HEAD + query.conditions + _FIND_TAIL.format(limit=query.parameter(limit))
    return await connection.fetch(statement, *query.values)


class _Query:
    def __init__(self, org_id: UUID) -> None:
        self.values: list[object] = [org_id]
        self._parts: list[str] = []

    @property
    def conditions(self) -> str:
        return "".join(f" AND {part}" for part in self._parts)

    def parameter(self, value: object) -> str:
        self.values.append(value)
        return f"${len(self.values)}"

    def where(self, part: str) -> None:
        self._parts.append(part)


async def _query(
    connection: Connection, org_id: UUID, wanted: RunFilter, *, before: UUID | None, since: UUID | None
) -> _Query:
    await connection.execute(PLAN_ANEW)
    query = _Query(org_id)
    if before is not None:
        query.where(_BEFORE.format(query.parameter(before)))
    if since is not None:
        query.where(_FROM_ID.format(query.parameter(since)))
    for condition in wanted.conditions:
        if condition.field == "text":
            await _text(connection, org_id, query, str(condition.value))
        elif condition.is_attribute:
            query.where(_attribute(query, condition))
        elif condition.field == "status":
            query.where(_status(query, condition))
        else:
            query.where(_column(query, condition))
    return query


def _column(query: _Query, condition: Condition) -> str:
    column, parameter = _COLUMNS[condition.field], query.parameter
    values = [
        DataClass[str(value).upper()].value if condition.field == "class" else value for value in condition.values
    ]
    if condition.operator == "in":
        return f"{column} IN ({', '.join(map(parameter, values))})"
    if condition.operator == "^=":
        return f"{column} >= {parameter(values[0])} AND {column} < {parameter(after_prefix(str(values[0])))}"
    part = f"{column} {_sql(condition)} {parameter(values[0])}"
    return f"({part} OR {column} IS NULL)" if condition.operator == "!=" else part


def _status(query: _Query, condition: Condition) -> str:
    alternatives = [
        _RUNNING if value == "running" else _STATUS.format(query.parameter(value)) for value in condition.values
    ]
    either = f"({' OR '.join(alternatives)})"
    return f"NOT {either}" if condition.operator == "!=" else either


def _attribute(query: _Query, condition: Condition) -> str:
    name = query.parameter(condition.field)
    parts: list[str] = []
    for value in condition.values:
        if condition.operator == "^=":
            end = query.parameter(after_prefix(str(value)))
            parts.append(_PREFIXED.format(value=query.parameter(value), end=end))
            continue
        for column, convert in _homes(value):
            parameter = query.parameter(convert(value))
            parts.append(_COMPARED.format(column=column, operator=_sql(condition), value=parameter))
    return _ATTRIBUTE.format(name=name, compared=_OR.join(parts))


def _homes(value: Value) -> list[tuple[str, Callable[[Value], object]]]:
    """Where a value may be stored: the attribute's type is its workflow's matter, and workflows differ."""
    if isinstance(value, bool):
        return [("text_value", lambda value: "true" if value else "false")]
    if isinstance(value, (int, float)):
        whole: list[tuple[str, Callable[[Value], object]]] = [("integer_value", lambda value: value)]
        return [*(whole if isinstance(value, int) else []), ("number_value", lambda value: float(str(value)))]
    moment: list[tuple[str, Callable[[Value], object]]] = [("moment_value", as_moment)]
    if isinstance(value, datetime):
        return moment
    return [("text_value", lambda value: value), *(moment if as_moment(value) is not None else [])]


def _sql(condition: Condition) -> str:
    return {"!=": "<>", "in": "="}.get(condition.operator, condition.operator)


def after_prefix(prefix: str) -> str:
    """The first text behind all that begin with the prefix, in the order of code points."""
    return prefix + "\U0010ffff"


async def _text(connection: Connection, org_id: UUID, query: _Query, text: str) -> None:
    """Each word begins a word of an attribute or an error, or of the name of the workflow or the outcome."""
    workflows = [row["name"] for row in await connection.fetch(WORKFLOW_NAMES, org_id, NAMES_SEARCHED)]
    outcomes = [row["name"] for row in await connection.fetch(OUTCOME_NAMES, org_id, NAMES_SEARCHED)]
    for word in words_of(text):
        named = [[name for name in names if _begins(name, word)] for names in (workflows, outcomes)]
        value, end = query.parameter(word), query.parameter(after_prefix(word))
        runs = await connection.fetchval(NAMED, org_id, *named, FREQUENT_RUNS) if any(named) else 0
        if runs >= FREQUENT_RUNS:
            of_workflows, of_outcomes = map(query.parameter, named)
            query.where(_FREQUENT.format(workflows=of_workflows, outcomes=of_outcomes, value=value, end=end))
            continue
        parts = [_WORD.format(value=value, end=end)]
        for names, fragment in zip(named, (_OF_WORKFLOWS, _OF_OUTCOMES), strict=True):
            if names:
                parts.append(fragment.format(names=query.parameter(names)))
        query.where(_AMONG.format(_EITHER.join(parts)))


def _begins(name: str, word: str) -> bool:
    return any(part.startswith(word) for part in words_of(name))


def first_id_of(moment: datetime) -> UUID:
    """The least id that a run can have which started at that moment or later: ids begin with the time."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
