"""The development data beside the checkout, which a plain clone does not have."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED = Path(__file__).parents[3] / "shared" / "data"


def shared_data(*parts: str) -> Path:
    """A path in the shared data; skips the test where it is not there."""
    path = _SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the development data {'/'.join(parts) or 'folder'}, which this checkout does not have")
    return path
