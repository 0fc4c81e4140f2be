"""What models of each kind take and give, as JSON Schemas: units and bounds are in the descriptions and keywords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_TEXTS = 1_000
"""Texts that one step embeds or ranks."""
MAX_CONTENT_CHARACTERS = 16_000_000
"""Of a picture, a PDF or a recording as base64: 12 MB. It is one value of a run, which may have 16 MiB."""
MAX_POINTS = 10_000
"""Of a series whose future is asked for."""
MAX_HORIZON = 1_000
"""Points of the future."""
MAX_SEASON = 1_000
"""Points of one season."""
LEAST_POINTS = 8
"""Fewer say nothing about how far off a forecast may be."""
LEAST_ROWS = 10
"""Fewer have no usual among which anything could be unusual."""
MAX_ROWS = 10_000
"""Of a table in which anomalies are looked for."""
MAX_COLUMNS = 100
"""Of the same."""
MAX_VARIABLES = 10_000
"""Of a linear problem; also items of a knapsack, and rows and columns of an assignment together by their product."""
MAX_CONSTRAINTS = 10_000
"""Of a linear problem."""
MAX_SIDE = 1_000
"""Rows, and columns, of an assignment."""
MAX_NUMBER = 1e12
"""Larger numbers have no exact sums in floating point."""

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}


def record(properties: Mapping[str, Any], *, optional: tuple[str, ...] = ()) -> Schema:
    """An object with these members and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _list(items: Schema, *, least: int = 0, most: int | None = None) -> Schema:
    bounds: dict[str, Any] = {"minItems": least} if least else {}
    return {"type": "array", "items": items, **bounds, **({} if most is None else {"maxItems": most})}


def _number(about: str = "", **keywords: Any) -> Schema:
    return {"type": "number", **({"description": about} if about else {}), **keywords}


def _whole(about: str = "", **keywords: Any) -> Schema:
    return {"type": "integer", **({"description": about} if about else {}), **keywords}


_ANY_NUMBER = _number(minimum=-MAX_NUMBER, maximum=MAX_NUMBER)
_SHARE: dict[str, Any] = {"minimum": 0, "maximum": 1}
_CONTENT: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_CONTENT_CHARACTERS,
    "description": "the file's bytes as base64 (RFC 4648, section 4)",
}

RERANK_INPUT = record(
    {
        "query": TEXT,
        "texts": _list(TEXT, least=1, most=MAX_TEXTS),
        "top": _whole("how many of the best to give; all where not given", minimum=1),
    },
    optional=("top",),
)
RERANK_OUTPUT = record(
    {"ranking": _list(record({"index": _whole("of the text, from 0", minimum=0), "score": _number(**_SHARE)}))}
)

OCR_INPUT = record({"content": _CONTENT})
_LINE = record(
    {
        "text": {"type": "string"},
        "confidence": _number(**_SHARE),
        "left": _whole("pixels from the page's left edge", minimum=0),
        "top": _whole("pixels from its upper edge", minimum=0),
        "width": _whole("pixels", minimum=0),
        "height": _whole("pixels", minimum=0),
    }
)
OCR_OUTPUT = record(
    {
        "text": {"type": "string", "description": "all lines, in reading order"},
        "pages": _list(
            record(
                {
                    "width": _whole("pixels", minimum=1),
                    "height": _whole("pixels", minimum=1),
                    "lines": _list(_LINE),
                }
            )
        ),
    }
)

TRANSCRIBE_INPUT = record(
    {
        "content": _CONTENT,
        "language": {"type": "string", "pattern": "^[a-z]{2,3}$", "description": "ISO 639; found out where not given"},
    },
    optional=("language",),
)
_SEGMENT = record(
    {
        "start_s": _number("seconds from the beginning", minimum=0),
        "end_s": _number("seconds from the beginning", minimum=0),
        "text": {"type": "string"},
        "confidence": _number("the mean probability of its words' parts", **_SHARE),
    }
)
TRANSCRIBE_OUTPUT = record(
    {
        "text": {"type": "string"},
        "language": {"type": "string"},
        "duration_s": _number("seconds", minimum=0),
        "segments": _list(_SEGMENT),
    }
)

FORECAST_INPUT = record(
    {
        "values": _list(_ANY_NUMBER, least=LEAST_POINTS, most=MAX_POINTS),
        "horizon": _whole("points of the future", minimum=1, maximum=MAX_HORIZON),
        "season_length": _whole("points of one season; 1 is none", minimum=1, maximum=MAX_SEASON),
        "level": _number("of the interval; 0.9 where not given", minimum=0.5, maximum=0.99),
    },
    optional=("season_length", "level"),
)
FORECAST_OUTPUT = record(
    {
        "points": _list(
            record(
                {
                    "mean": _number(),
                    "low": _number("the prediction interval's lower end"),
                    "high": _number("its upper end"),
                }
            )
        ),
        "level": _number("how probably a point lies within its interval, if things go on as before", **_SHARE),
        "season_length": _whole("that was reckoned with", minimum=1),
        "method": {"type": "string"},
    }
)

DETECT_INPUT = record(
    {
        "rows": _list(_list(_ANY_NUMBER, least=1, most=MAX_COLUMNS), least=LEAST_ROWS, most=MAX_ROWS),
        "share": _number("of the rows that are anomalies, if known", exclusiveMinimum=0, maximum=0.5),
    },
    optional=("share",),
)
DETECT_OUTPUT = record(
    {
        "anomalies": _list(record({"index": _whole("of the row, from 0", minimum=0), "score": _number(**_SHARE)})),
        "scores": _list(_number("of each row", **_SHARE)),
        "threshold": _number("scores above it are anomalies", **_SHARE),
    }
)

_SENSE: Schema = {"enum": ["minimise", "maximise"]}
_LINEAR = record(
    {
        "sense": _SENSE,
        "variables": _list(
            record(
                {
                    "name": TEXT,
                    "weight": _ANY_NUMBER,
                    "low": _ANY_NUMBER,
                    "high": _ANY_NUMBER,
                    "whole": {"type": "boolean"},
                },
                optional=("low", "high", "whole"),
            ),
            least=1,
            most=MAX_VARIABLES,
        ),
        "constraints": _list(
            record(
                {
                    "terms": _list(record({"variable": TEXT, "factor": _ANY_NUMBER}), least=1, most=MAX_VARIABLES),
                    "low": _ANY_NUMBER,
                    "high": _ANY_NUMBER,
                },
                optional=("low", "high"),
            ),
            most=MAX_CONSTRAINTS,
        ),
    },
    optional=("constraints",),
)
_ASSIGNMENT = record(
    {
        "sense": _SENSE,
        "weights": _list(
            _list({"type": ["number", "null"], "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}, least=1, most=MAX_SIDE),
            least=1,
            most=MAX_SIDE,
        ),
    }
)
_KNAPSACK = record(
    {
        "capacity": _number(minimum=0, maximum=MAX_NUMBER),
        "items": _list(
            record(
                {
                    "value": _number(minimum=0, maximum=MAX_NUMBER),
                    "size": _number(minimum=0, maximum=MAX_NUMBER),
                    "at_most": _whole(minimum=1, maximum=1_000_000),
                },
                optional=("at_most",),
            ),
            least=1,
            most=MAX_VARIABLES,
        ),
    }
)
OPTIMISE_INPUT: Schema = {
    **record(
        {"linear": _LINEAR, "assignment": _ASSIGNMENT, "knapsack": _KNAPSACK},
        optional=("linear", "assignment", "knapsack"),
    ),
    "minProperties": 1,
    "maxProperties": 1,
}
OPTIMISE_OUTPUT = record(
    {
        "status": {"enum": ["optimal", "feasible", "infeasible", "unbounded"]},
        "objective": {
            "type": ["number", "null"],
            "description": "what the solution comes to; null where there is none",
        },
        "bound": {"type": ["number", "null"], "description": "no solution is better than that; null where unknown"},
        "variables": _list(record({"name": {"type": "string"}, "value": _number()})),
        "pairs": _list(record({"row": _whole(minimum=0), "column": _whole(minimum=0)})),
        "chosen": _list(record({"index": _whole(minimum=0), "count": _whole(minimum=1)})),
    }
)
