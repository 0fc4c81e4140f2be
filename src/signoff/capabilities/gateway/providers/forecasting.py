"""`statsforecast`: how a series goes on, with prediction intervals.

Method: exponential smoothing in state space, its form chosen by the corrected Akaike criterion (Hyndman et al., "A
state space framework for automatic forecasting", 2002); for long seasons the series is taken apart first (Bandara,
Hyndman and Bergmeir, "MSTL", 2021). It learns from the series alone, at each call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.computing import Computed, Patience, library, rounded
from signoff.catalog.models import ModelSpec

EXTRA = "forecasting"
LONGEST_SMOOTHED_SEASON = 24
"""Longer seasons have more states than exponential smoothing can fit."""
SEASONS_NEEDED = 2
"""Whole seasons without which nobody can tell a season from a trend."""
DEFAULT_LEVEL = 0.9


class StatsForecast(Computed):
    """The forecaster."""

    name = "statsforecast"
    task = "forecast"
    needs = (("statsforecast.models", EXTRA),)

    def answer(self, values: Mapping[str, Any], patience: Patience) -> Mapping[str, Any]:  # noqa: ARG002  (one piece)
        """The points of the future.

        Raises:
            ProviderError: as `complete`; `rejected`: the series has too few seasons.
        """
        series: Sequence[float] = values["values"]
        season, level = int(values.get("season_length", 1)), float(values.get("level", DEFAULT_LEVEL))
        most = self.limit("max_points")
        if len(series) > most:
            raise ProviderError("rejected", f"The series has {len(series):,} points; 'max_points' allows {most:,}.")
        if season > 1 and len(series) < SEASONS_NEEDED * season:
            needed = SEASONS_NEEDED * season
            raise ProviderError(
                "rejected", f"A season of {season} points needs a series of {needed}, not {len(series)}."
            )
        models: Any = library("statsforecast.models", EXTRA)
        numpy: Any = library("numpy", EXTRA)
        model, method = _model(models, season)
        fitted = model.fit(numpy.asarray(series, dtype=numpy.float64))
        found = fitted.predict(h=int(values["horizon"]), level=[100.0 * level])
        # Its keys are `mean`, and `lo-` and `hi-` with the level as it happens to print it.
        keys = {"mean": "mean", **{"low" if key.startswith("lo") else "high": key for key in found if key != "mean"}}
        points = [
            {name: rounded(float(found[keys[name]][place])) for name in ("mean", "low", "high")}
            for place in range(int(values["horizon"]))
        ]
        if not all(math.isfinite(value) for point in points for value in point.values()):
            raise ProviderError("rejected", "The series has no forecast: its numbers grow beyond all bounds.")
        return {"points": points, "level": level, "season_length": season, "method": method}


def _model(models: Any, season: int) -> tuple[Any, str]:
    if season <= LONGEST_SMOOTHED_SEASON:
        return models.AutoETS(season_length=season), "AutoETS"
    return models.MSTL(season_length=season, trend_forecaster=models.AutoETS(model="ZZN")), "MSTL + AutoETS"


def create(spec: ModelSpec) -> StatsForecast:
    """The provider of one configured model."""
    return StatsForecast(spec)
