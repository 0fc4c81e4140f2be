"""Forecasts, anomalies, pictures and ranks: what they give, what they refuse, and how they are waited for."""

from __future__ import annotations

import asyncio
import base64
import io
import math
import random
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image
from support.kind_cases import picture, request

from signoff.capabilities.gateway import ProviderError
from signoff.capabilities.gateway.providers import default_factories
from signoff.capabilities.gateway.providers.computing import MAX_WAITING, Computed, Patience, library
from signoff.capabilities.gateway.providers.ranking import ranking
from signoff.catalog.models import LOCAL_LIMITS, ModelSpec
from signoff.core.schemas import validate
from signoff.workflows.kinds import MODEL_KINDS


def computed(kind: str, values: Mapping[str, Any], **limits: Any) -> dict[str, Any]:
    provider: Any = default_factories()[kind](ModelSpec("m", kind, limits))
    contract = MODEL_KINDS[provider.task]
    assert not validate(contract.input_schema, values)
    found = dict(provider.answer(values, Patience(60.0)))
    assert not validate(contract.output_schema, found)
    return found


def refused(kind: str, values: Mapping[str, Any], **limits: Any) -> str:
    with pytest.raises(ProviderError) as caught:
        computed(kind, values, **limits)
    assert caught.value.kind == "rejected"
    return caught.value.detail


def test_a_forecast_goes_on_with_trend_and_season_within_its_interval() -> None:
    chance = random.Random(7)
    series = [100 + 0.5 * x + 20 * math.sin(math.tau * x / 12) + chance.gauss(0, 1) for x in range(132)]
    found = computed("statsforecast", {"values": series[:120], "horizon": 12, "season_length": 12})
    for point, truth in zip(found["points"], series[120:], strict=True):
        assert point["low"] < point["mean"] < point["high"]
        assert abs(point["mean"] - truth) < 6
    wider = computed("statsforecast", {"values": series[:120], "horizon": 1, "season_length": 12, "level": 0.99})
    assert wider["points"][0]["high"] > found["points"][0]["high"]


def test_a_long_season_is_taken_apart() -> None:
    series = [math.sin(math.tau * x / 48) + x % 7 / 100 for x in range(240)]
    found = computed("statsforecast", {"values": series, "horizon": 48, "season_length": 48})
    assert found["method"] == "MSTL + AutoETS"
    assert max(abs(point["mean"] - series[192 + at]) for at, point in enumerate(found["points"])) < 0.2


def test_a_forecast_needs_two_seasons_and_no_more_points_than_allowed() -> None:
    assert "needs a series of 24" in refused("statsforecast", {"values": [1] * 20, "horizon": 1, "season_length": 12})
    assert "'max_points' allows 10" in refused("statsforecast", {"values": [1] * 11, "horizon": 1}, max_points=10)


def test_anomalies_are_found_and_clean_rows_are_not() -> None:
    chance = random.Random(3)
    usual = [[chance.gauss(0, 1), chance.gauss(5, 2), chance.gauss(0, 9)] for _ in range(400)]
    odd = [[9, 5, 0], [0, -15, 0], [8, 20, 80]]
    found = computed("isolation_forest", {"rows": usual + odd})
    assert {400, 402} <= {each["index"] for each in found["anomalies"]}
    assert len(found["anomalies"]) <= 8
    assert len(found["scores"]) == 403
    by_share = computed("isolation_forest", {"rows": usual + odd, "share": 3 / 403})
    assert [each["index"] for each in by_share["anomalies"]] == [
        402,
        *sorted((400, 401), key=lambda i: -found["scores"][i]),
    ]
    assert computed("isolation_forest", {"rows": [[1.0]] * 50})["anomalies"] == []
    few = [[1, 2 + nth / 10] for nth in range(11)] + [[50, 90]]
    assert [each["index"] for each in computed("isolation_forest", {"rows": few})["anomalies"]] == [11]


def test_a_table_is_refused_where_it_is_ragged_or_too_large() -> None:
    assert "different lengths" in refused("isolation_forest", {"rows": [[1, 2]] * 9 + [[1]]})
    assert "'max_cells' allows 10" in refused("isolation_forest", {"rows": [[1]] * 11}, max_cells=10)


def test_lines_stand_where_they_are_in_the_picture() -> None:
    found = computed("rapidocr", {"content": picture("Invoice 4711", "Total 54.20", kind="JPEG")})
    (page,) = found["pages"]
    first, second = page["lines"]
    assert (first["text"], second["text"]) == ("Invoice 4711", "Total 54.20")
    assert (page["width"], page["height"]) == (320, 320)
    assert first["top"] + first["height"] <= second["top"] + 10
    assert abs(first["left"] - 20) < 12
    assert second["confidence"] > 0.8


def pdf(pages: int) -> str:
    data = io.BytesIO()
    first, *others = [Image.new("RGB", (200, 200), "white") for _ in range(pages)]
    first.save(data, "PDF", save_all=True, append_images=others)
    return base64.b64encode(data.getvalue()).decode()


def test_files_are_refused_before_they_are_unpacked() -> None:
    assert "is not base64" in refused("rapidocr", {"content": "*"})
    assert "no picture" in refused("rapidocr", {"content": base64.b64encode(b"MZ, a program").decode()})
    assert "no picture" in refused("rapidocr", {"content": picture("cut")[:400]})
    assert "320 x 320 pixels" in refused("rapidocr", {"content": picture("large")}, max_pixels=1000)
    assert "3 pages" in refused("rapidocr", {"content": pdf(3)}, max_pages=2)
    assert "cannot be read" in refused("rapidocr", {"content": base64.b64encode(b"%PDF-1.7 no more").decode()})


def test_a_rank_is_by_words_and_by_meaning() -> None:
    vectors = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]]
    found = ranking("refund parcels", ["the sky", "money back", "a refund of a parcel"], vectors)
    assert [each["index"] for each in found][-1] == 0
    assert [each["score"] for each in found] == sorted((each["score"] for each in found), reverse=True)
    assert [each["index"] for each in ranking("a", ["b", "c"], [[1.0], [1.0], [1.0]])] == [0, 1], (
        "ties keep their order"
    )


def test_frequent_words_of_a_query_rank_nothing() -> None:
    alike = [[1.0], [1.0], [1.0]]
    found = ranking("what is the refund", ["what is the matter with the weather", "refund of an order"], alike)
    assert [each["index"] for each in found] == [1, 0]
    only = ranking("what is it", ["an order", "what is it"], alike)
    assert [each["index"] for each in only] == [1, 0], "where a query has no others they count"


@pytest.mark.parametrize("kind", LOCAL_LIMITS)
@pytest.mark.parametrize("value", [0, True, "many", 10**9])
def test_a_limit_that_is_no_such_number_is_named(kind: str, value: Any) -> None:
    key = next(iter(LOCAL_LIMITS[kind]))
    provider: Any = default_factories()[kind](ModelSpec("m", kind, {key: value}))
    with pytest.raises(ProviderError, match=key) as caught:
        provider.limit(key)
    assert caught.value.kind == "setup"


def test_what_is_not_installed_says_how_it_is_installed() -> None:
    with pytest.raises(ProviderError, match=r"needs there_is_none, .*pip install 'signoff\[ocr\]'") as caught:
        library("there_is_none.at_all", "ocr")
    assert caught.value.kind == "setup"


class Slow(Computed):
    """A model that computes until it is let go, and breaks on odd numbers."""

    name = "slow"
    task = "detect"

    def __init__(self) -> None:
        super().__init__(ModelSpec("m", "slow"))
        self.begun, self.go = threading.Event(), threading.Event()
        self.seen: list[Any] = []

    def answer(self, values: Mapping[str, Any], patience: Patience) -> Mapping[str, Any]:
        self.begun.set()
        self.seen.append(values["rows"])
        self.go.wait(30)
        patience.check()
        return {"half": 1 / values["rows"]}


async def test_who_leaves_stops_the_work_and_who_waits_never_begins_it() -> None:
    slow = Slow()
    first = asyncio.create_task(slow.complete(request("detect", rows=1)))
    await asyncio.to_thread(slow.begun.wait, 30)
    second = asyncio.create_task(slow.complete(request("detect", rows=2)))
    await asyncio.sleep(0)
    for call in (first, second):
        call.cancel()
    await asyncio.wait([first, second])
    slow.go.set()
    assert (await slow.complete(request("detect", rows=4))).text == '{"half":0.25}'
    assert slow.seen == [1, 4]


async def test_more_than_may_wait_come_back_later() -> None:
    slow = Slow()
    calls = [asyncio.create_task(slow.complete(request("detect", rows=1))) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(ProviderError) as caught:
        await slow.complete(request("detect", rows=1))
    assert (caught.value.kind, caught.value.retryable) == ("unavailable", True)
    slow.go.set()
    await asyncio.gather(*calls)


async def test_what_a_library_raises_is_ours_without_content() -> None:
    slow = Slow()
    slow.go.set()
    with pytest.raises(ProviderError, match="ZeroDivisionError") as caught:
        await slow.complete(request("detect", rows=0))
    assert caught.value.kind == "rejected"
