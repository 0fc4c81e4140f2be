"""`price:` of a model and the project's own table `prices:` in `models.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from signoff.catalog.models import ModelSpec
from signoff.catalog.parsing.fields import Fields

REQUIRED = ("input_usd", "output_usd")
OPTIONAL = (
    "cached_input_usd",
    "cache_write_usd",
    "reasoning_usd",
    "image_input_usd",
    "image_output_usd",
    "request_usd",
)
_SHAPE = "Write 'price: free' or 'price: {input_usd: 0.15, output_usd: 0.60}', per million tokens."


def check_price(price: Fields) -> None:
    """Report what is wrong with one price."""
    price.only(*REQUIRED, *OPTIONAL, "version")
    for key in (*REQUIRED, *(name for name in OPTIONAL if name in price)):
        value = price.data.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            price.problem(key, f"'{key}' must be an amount in US dollars.", suggestion=_SHAPE, code="wrong-type")
    price.text("version", "")


def priced_models(fields: Fields, models: Mapping[str, ModelSpec]) -> dict[str, ModelSpec]:
    """The models, those without a `price` of their own with that of the project's table, found by name or by `model`.

    The table's `version` goes with each of its prices, so that every call says by which one it was paid.
    """
    table = fields.mapping("prices")
    table.only("version", "models")
    version = table.text("version", "")
    prices: dict[str, Any] = {}
    listed = table.mapping("models")
    for name, value in listed.data.items():
        if value == "free":
            prices[name] = value
        else:
            price = listed.mapping(name)
            check_price(price)
            prices[name] = {"version": version, **price.data} if version else dict(price.data)
    return {name: _with_price(spec, prices) for name, spec in models.items()}


def _with_price(spec: ModelSpec, prices: Mapping[str, Any]) -> ModelSpec:
    found = prices.get(spec.name, prices.get(str(spec.settings.get("model"))))
    if found is None or "price" in spec.settings:
        return spec
    return replace(spec, settings={**spec.settings, "price": found})
