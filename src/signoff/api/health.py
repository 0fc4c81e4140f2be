"""Whether the server lives, and whether it can work. Open to everybody, and it tells them nothing else."""

from __future__ import annotations

from fastapi import APIRouter

from signoff.api.messages import Health
from signoff.api.problems import documented
from signoff.api.services import ServicesOf

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", operation_id="live", summary="Is the process alive", response_model=Health)
async def live() -> Health:
    """The process answers."""
    return Health()


@router.get(
    "/ready",
    operation_id="ready",
    summary="Can requests be served",
    response_model=Health,
    responses={503: documented()[503]},
)
async def ready(services: ServicesOf) -> Health:
    """PostgreSQL answers; 503 where it does not."""
    await services.database.ping()
    return Health()
