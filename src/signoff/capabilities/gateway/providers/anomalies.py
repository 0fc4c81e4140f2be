"""`isolation_forest`: rows of a table that are unlike the others (Liu, Ting and Zhou, "Isolation forest", 2008).

It learns from the rows that it is given and keeps nothing: what is usual is what most of these rows are like. Rows are
independent of each other; of a series give, for example, each value with its change since the one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import quantiles
from typing import Any

from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.computing import Computed, Patience, library, rounded, same_length
from signoff.catalog.models import ModelSpec

EXTRA = "anomaly"
TREES = 200
"""More change scores in the third digit only."""
LEAST_THRESHOLD = 0.6
"""The paper's for possible anomalies: data without any has rows of up to about this score."""
FENCE = 3.0
"""So many interquartile ranges above the third quartile is far out (Tukey, "Exploratory data analysis", 1977)."""
SURE = 0.8
"""The fence lies no higher: of a few rows none can score more than 0.83, however far away it is."""
SEED = 0
"""The same rows always get the same scores."""


class IsolationForest(Computed):
    """The forest."""

    name = "isolation_forest"
    task = "detect"
    needs = (("sklearn.ensemble", EXTRA),)

    def answer(self, values: Mapping[str, Any], patience: Patience) -> Mapping[str, Any]:  # noqa: ARG002  (one piece)
        """A score from 0 to 1 of each row, and the rows whose score is above the threshold, the strangest first.

        Raises:
            ProviderError: as `complete`.
        """
        rows: Sequence[Sequence[float]] = values["rows"]
        cells, most = len(rows) * same_length(rows, "rows"), self.limit("max_cells")
        if cells > most:
            raise ProviderError("rejected", f"The table has {cells:,} cells; 'max_cells' allows {most:,}.")
        forest: Any = library("sklearn.ensemble", EXTRA).IsolationForest(n_estimators=TREES, random_state=SEED)
        scores = [rounded(-score) for score in forest.fit(rows).score_samples(rows)]
        threshold = _threshold(scores, values.get("share"))
        over = sorted((index for index, score in enumerate(scores) if score > threshold), key=lambda i: -scores[i])
        found = [{"index": index, "score": scores[index]} for index in over]
        return {"anomalies": found, "scores": scores, "threshold": threshold}


def _threshold(scores: Sequence[float], share: float | None) -> float:
    """Which score the known share of rows is above; where none is known, both the paper's threshold and the fence."""
    if share is not None:
        return sorted(scores, reverse=True)[min(round(share * len(scores)), len(scores) - 1)]
    first, _, third = quantiles(scores, n=4)
    return rounded(max(LEAST_THRESHOLD, min(third + FENCE * (third - first), SURE)))


def create(spec: ModelSpec) -> IsolationForest:
    """The provider of one configured model."""
    return IsolationForest(spec)
