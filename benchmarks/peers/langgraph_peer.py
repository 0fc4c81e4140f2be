"""LangGraph with its PostgreSQL checkpointer, one graph per number of steps. `langgraph_peer.py URL NUMBER POOL`.

Durability is `async`, the default and the faster of the modes that persist every step.
"""

# It runs in an environment of its own, which has what it imports.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import operator
import sys
import uuid
from typing import Annotated, Any, TypedDict

import protocol
import uvloop
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool


class State(TypedDict):
    pad: str


class Fanned(TypedDict):
    pad: str
    pads: Annotated[list[str], operator.add]


async def act(state: State) -> dict[str, Any]:
    protocol.stepped()
    return {"pad": state["pad"]}


async def act_beside(state: Fanned) -> dict[str, Any]:
    protocol.stepped()
    return {"pads": [state["pad"]]}


def graph_of(steps: int, side_by_side: bool, saver: AsyncPostgresSaver) -> Any:
    graph: Any = StateGraph(Fanned if side_by_side else State)
    for number in range(steps):
        graph.add_node(f"s{number}", act_beside if side_by_side else act)
    if side_by_side:
        for number in range(steps):
            graph.add_edge(START, f"s{number}")
            graph.add_edge(f"s{number}", END)
    else:
        for before, after in zip(range(-1, steps), range(steps + 1), strict=False):
            graph.add_edge(START if before < 0 else f"s{before}", END if after == steps else f"s{after}")
    return graph.compile(checkpointer=saver)


async def main() -> None:
    url, pool_size = sys.argv[1], int(sys.argv[3])
    # As its documentation says for production: autocommit, no prepared statements on shared connections, a pool.
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(url, min_size=4, max_size=pool_size, kwargs=options) as pool:
        saver = AsyncPostgresSaver(pool)  # type: ignore[arg-type]
        if sys.argv[2] == "0":
            await saver.setup()
        graphs: dict[tuple[int, bool], Any] = {}

        async def run_one(steps: int, side_by_side: bool, pad: str) -> None:
            graph = graphs.get((steps, side_by_side))
            if graph is None:
                graph = graphs[steps, side_by_side] = graph_of(steps, side_by_side, saver)
            last_step = 1 if side_by_side else steps  # so that a count knows which threads have come to their end
            thread = {"configurable": {"thread_id": f"{last_step}-{uuid.uuid4()}"}}
            await graph.ainvoke({"pad": pad}, thread, durability="async")

        await protocol.serve(run_one)


uvloop.run(main())
