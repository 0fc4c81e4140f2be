"""`highs`: linear problems with whole numbers, assignments and knapsacks, by SciPy and the solver HiGHS in it.

Method: branch and bound over the dual simplex (Huangfu and Hall, "Parallelizing the dual revised simplex method",
2018); assignments, exactly, by shortest augmenting paths (Crouse, "On implementing 2D rectangular assignment
algorithms", 2016).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.computing import Computed, Patience, library, rounded, same_length
from signoff.catalog.models import ModelSpec

EXTRA = "optimisation"
SHARE_OF_TIMEOUT = 0.8
"""Of the call's timeout that the solver may take, so that the best solution found still gets home."""
_OPTIMAL, _STOPPED, _INFEASIBLE, _UNBOUNDED = 0, 1, 2, 3
_NOTHING: Mapping[str, Any] = {"objective": None, "bound": None, "variables": [], "pairs": [], "chosen": []}


class Highs(Computed):
    """The solver. It answers `optimal` where nothing better exists, `feasible` where time was over before."""

    name = "highs"
    task = "optimise"
    needs = (("scipy.optimize", EXTRA), ("scipy.sparse", EXTRA))

    def answer(self, values: Mapping[str, Any], patience: Patience) -> Mapping[str, Any]:
        """The solution of the one problem that is given.

        Raises:
            ProviderError: as `complete`; `timeout`: no solution was found in time.
        """
        most_s = min(float(self.limit("max_solve_s")), SHARE_OF_TIMEOUT * patience.timeout_s)
        if "assignment" in values:
            return self._assignment(values["assignment"])
        if "knapsack" in values:
            return self._knapsack(values["knapsack"], most_s)
        return self._linear(values["linear"], most_s)

    def _room(self, count: int) -> None:
        most = self.limit("max_variables")
        if count > most:
            raise ProviderError("rejected", f"The problem has {count:,} variables; 'max_variables' allows {most:,}.")

    def _assignment(self, problem: Mapping[str, Any]) -> Mapping[str, Any]:
        rows: Sequence[Sequence[float | None]] = problem["weights"]
        self._room(len(rows) * same_length(rows, "weights"))
        worst = -math.inf if problem["sense"] == "maximise" else math.inf
        weights = [[worst if weight is None else float(weight) for weight in row] for row in rows]
        solve: Any = library("scipy.optimize", EXTRA).linear_sum_assignment
        try:
            found = solve(weights, maximize=problem["sense"] == "maximise")
        except ValueError:  # its way to say that rows have no allowed column left
            return {"status": "infeasible", **_NOTHING}
        pairs = [(int(row), int(column)) for row, column in zip(*found, strict=True)]
        total = rounded(math.fsum(weights[row][column] for row, column in pairs))
        listed = [{"row": row, "column": column} for row, column in pairs]
        return {**_NOTHING, "status": "optimal", "objective": total, "bound": total, "pairs": listed}

    def _knapsack(self, problem: Mapping[str, Any], most_s: float) -> Mapping[str, Any]:
        items: Sequence[Mapping[str, Any]] = problem["items"]
        self._room(len(items))
        solved = _solve(
            [-float(item["value"]) for item in items],
            bounds=[(0.0, float(item.get("at_most", 1))) for item in items],
            whole=[True] * len(items),
            rows=[([(index, float(item["size"])) for index, item in enumerate(items)], -math.inf, problem["capacity"])],
            most_s=most_s,
        )
        chosen = [{"index": index, "count": round(count)} for index, count in enumerate(solved.x) if round(count) > 0]
        return {**_NOTHING, **solved.told([-float(item["value"]) for item in items], maximise=True), "chosen": chosen}

    def _linear(self, problem: Mapping[str, Any], most_s: float) -> Mapping[str, Any]:
        variables: Sequence[Mapping[str, Any]] = problem["variables"]
        self._room(len(variables))
        places = {str(variable["name"]): place for place, variable in enumerate(variables)}
        if len(places) < len(variables):
            raise ProviderError("rejected", "Two variables have the same name.")
        maximise = problem["sense"] == "maximise"
        weights = [(-1.0 if maximise else 1.0) * float(variable["weight"]) for variable in variables]
        whole = [bool(variable.get("whole", False)) for variable in variables]
        rows: list[Row] = []
        for constraint in problem.get("constraints", ()):
            terms: list[tuple[int, float]] = []
            for term in constraint["terms"]:
                if term["variable"] not in places:
                    raise ProviderError("rejected", "A constraint names a variable that there is not.")
                terms.append((places[term["variable"]], float(term["factor"])))
            rows.append((terms, float(constraint.get("low", -math.inf)), float(constraint.get("high", math.inf))))
        bounds = [(float(each.get("low", 0.0)), float(each.get("high", math.inf))) for each in variables]
        if any(low > high for low, high in bounds) or any(low > high for _, low, high in rows):
            return {"status": "infeasible", **_NOTHING}
        solved = _solve(weights, bounds=bounds, whole=whole, rows=rows, most_s=most_s)
        told = [{"name": name, "value": solved.x[place]} for name, place in places.items()] if solved.x else []
        return {**_NOTHING, **solved.told(weights, maximise=maximise), "variables": told}


Row = tuple[Sequence[tuple[int, float]], float, float]
"""A constraint: its terms by the variable's place, and between what their sum lies."""


class Solved:
    """What the solver found.

    Attributes:
        status: as the contract has it.
        x: the solution; empty where there is none.
        bound: nothing minimises further than that; none where unknown.
    """

    def __init__(self, status: str, x: Sequence[float] = (), bound: float | None = None) -> None:
        self.status = status
        self.x = x
        self.bound = bound

    def told(self, weights: Sequence[float], *, maximise: bool) -> dict[str, Any]:
        """Status, objective and bound of the problem as it was asked, the objective by the solution itself."""
        if not self.x:
            return {"status": self.status}
        sign = -1.0 if maximise else 1.0
        objective = sign * math.fsum(weight * value for weight, value in zip(weights, self.x, strict=True))
        bound = objective if self.status == "optimal" else None if self.bound is None else sign * self.bound
        told = {"objective": objective, "bound": bound}
        return {"status": self.status, **{key: None if each is None else rounded(each) for key, each in told.items()}}


def _solve(
    weights: Sequence[float],
    *,
    bounds: Sequence[tuple[float, float]],
    whole: Sequence[bool],
    rows: Sequence[Row],
    most_s: float,
) -> Solved:
    """The solution that minimises.

    Raises:
        ProviderError: `timeout`: none was found in time; `rejected`: the solver cannot take the numbers.
    """
    optimize: Any = library("scipy.optimize", EXTRA)
    sparse: Any = library("scipy.sparse", EXTRA)
    entries = [(factor, row, place) for row, (terms, _, _) in enumerate(rows) for place, factor in terms]
    constraints: Any = None
    if rows:
        factors, at_rows, places = zip(*entries, strict=True)
        matrix = sparse.csr_array((factors, (at_rows, places)), shape=(len(rows), len(weights)))
        constraints = optimize.LinearConstraint(matrix, [low for _, low, _ in rows], [high for _, _, high in rows])
    least, most = zip(*bounds, strict=True)
    for presolve in (True, False):
        result = optimize.milp(
            weights,
            integrality=[int(each) for each in whole],
            bounds=optimize.Bounds(least, most),
            constraints=constraints,
            options={"time_limit": most_s, "mip_rel_gap": 0.0, "presolve": presolve},
        )
        # "Infeasible or unbounded" is all that the presolve may know; without it the solver knows which.
        if result.status in (_OPTIMAL, _STOPPED, _INFEASIBLE, _UNBOUNDED):
            break
    if result.status in (_INFEASIBLE, _UNBOUNDED):
        return Solved("infeasible" if result.status == _INFEASIBLE else "unbounded")
    if result.x is None:
        if result.status == _STOPPED:
            raise ProviderError("timeout", f"No solution was found in {most_s:.3g} s.")
        raise ProviderError("rejected", "The solver cannot take these numbers; their sizes may be too different.")
    found = [float(round(value)) if each else rounded(value) for value, each in zip(result.x, whole, strict=True)]
    bound: Any = getattr(result, "mip_dual_bound", None)
    known = float(bound) if bound is not None and math.isfinite(bound) else None
    return Solved("optimal" if result.status == _OPTIMAL else "feasible", found, known)


def create(spec: ModelSpec) -> Highs:
    """The provider of one configured model."""
    return Highs(spec)
