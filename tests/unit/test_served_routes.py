"""The shorter way to the endpoints of the served gateway leads where the routes lead, and nowhere else."""

from __future__ import annotations

import pytest
from fastapi.routing import APIRoute

from signoff.api.compatible.routes import handler_of, router


def test_each_post_is_answered_by_its_routes_own_function() -> None:
    posts = [route for route in router.routes if isinstance(route, APIRoute) and "POST" in (route.methods or ())]
    assert len(posts) == 10
    for route in posts:
        scope = {"method": "POST", "path": route.path.format(project="shop", environment="dev")}
        assert handler_of(scope) is route.endpoint
        there = {"project": "shop", "environment": "dev"} if "{project}" in route.path else {}
        assert scope["path_params"] == there


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("HEAD", "/v1/chat/completions"),
        ("POST", "/v1/models"),
        ("POST", "/v1/models/chat/completions"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1/runs"),
        ("POST", "/projects/a/b/environments/dev/v1/chat/completions"),
    ],
)
def test_all_else_is_asked_of_the_application(method: str, path: str) -> None:
    scope = {"method": method, "path": path}
    assert handler_of(scope) is None
    assert "path_params" not in scope
