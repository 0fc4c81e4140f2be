"""A question of each kind of model that computes, with what its answer has whoever computes it."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from signoff.capabilities.gateway import ProviderRequest
from signoff.workflows.kinds import MODEL_KINDS

WAIT_S = 60.0
SPOKEN = Path(__file__).with_name("refund.ogg")
"""Espeak NG says: The customer in Berlin asks for a refund of fifty four dollars."""


def request(task: Any, **values: Any) -> ProviderRequest:
    """As a step would ask."""
    return ProviderRequest(task, (), MODEL_KINDS[task].output_schema, 0, WAIT_S, variables=values)


def picture(*lines: str, kind: str = "PNG", side: int = 320) -> str:
    """Black words on white, as base64."""
    image = Image.new(
        "RGB", (side, side), "white"
    )  # small ones are drawn larger until their shorter side is long enough
    draw = ImageDraw.Draw(image)
    for place, line in enumerate(lines):
        draw.text((20, 20 + 50 * place), line, fill="black", font=ImageFont.load_default(32))
    data = io.BytesIO()
    image.save(data, kind)
    return base64.b64encode(data.getvalue()).decode()


def recording() -> str:
    """Somebody speaking, as base64."""
    return base64.b64encode(SPOKEN.read_bytes()).decode()


KINDS: dict[str, tuple[ProviderRequest, dict[str, Any]]] = {
    "ocr": (request("ocr", content=picture("Invoice 4711", "Total 54.20")), {"text": "Invoice 4711\nTotal 54.20"}),
    "transcribe": (request("transcribe", content=recording()), {"language": "en"}),
    "forecast": (
        request("forecast", values=[10.0, 20.0, 30.0, 40.0] * 6, horizon=4, season_length=4),
        {"level": 0.9, "season_length": 4, "method": "AutoETS"},
    ),
    "detect": (request("detect", rows=[[x % 7, x % 5] for x in range(100)] + [[60, -60]], share=0.01), {}),
    "optimise": (
        request("optimise", assignment={"sense": "minimise", "weights": [[4, 1, 3], [2, None, 5], [3, 2, 2]]}),
        {"status": "optimal", "objective": 5.0, "bound": 5.0},
    ),
    "rerank": (request("rerank", query="money back", texts=["the sky is blue", "I want my money back"]), {}),
}
