"""URL templates: whatever an argument holds, it stays in its own segment or query value."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signoff.capabilities.tools import environment_secrets
from signoff.capabilities.tools.http import key_for_header
from signoff.capabilities.tools.templates import (
    SettingError,
    TemplateError,
    fill_secrets,
    fill_url,
    header_value,
    with_query,
)

SETTINGS = {"url": "http://shop.test:8765"}
TEMPLATE = "${settings.url}/customers/{customer}/orders/{id}?view={view}"
# The first draw builds tables of all Unicode, which takes seconds on a busy machine.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(customer=st.text(), order=st.text(), view=st.text())
def test_an_argument_never_leaves_its_place(customer: str, order: str, view: str) -> None:
    try:
        url, used = fill_url(TEMPLATE, SETTINGS, {"customer": customer, "id": order, "view": view})
    except TemplateError:
        return
    sent = urlsplit(str(httpx.URL(url)))
    assert used == {"customer", "id", "view"}
    assert (sent.scheme, sent.netloc, sent.fragment) == ("http", "shop.test:8765", "")
    segments = sent.path.split("/")
    assert [segments[1], segments[3]] == ["customers", "orders"]
    assert [unquote(segments[2]), unquote(segments[4])] == [customer, order]
    assert parse_qs(sent.query, keep_blank_values=True) == {"view": [view]}


def test_order_numbers_with_a_hash_are_data() -> None:
    url, _ = fill_url("${settings.url}/orders/{id}", SETTINGS, {"id": "#W123/4?x=1&é"})
    assert url == "http://shop.test:8765/orders/%23W123%2F4%3Fx%3D1%26%C3%A9"
    assert httpx.URL(url).raw_path == b"/orders/%23W123%2F4%3Fx%3D1%26%C3%A9"


@pytest.mark.parametrize(
    "value", ["", ".", "..", "../admin", "a/../b", "..\\x", "a\nb", "\x00", "\ud800", None, [], {}, float("nan")]
)
def test_what_could_step_out_of_the_path_is_refused(value: Any) -> None:
    with pytest.raises(TemplateError):
        fill_url("${settings.url}/orders/{id}", SETTINGS, {"id": value})


def test_dots_cannot_be_put_together() -> None:
    with pytest.raises(TemplateError):
        fill_url("${settings.url}/a/{x}./b", SETTINGS, {"x": "."})


@pytest.mark.parametrize(
    "template",
    [
        "{host}/a",
        "http://{host}/a",
        "http://a.{host}/",
        "ftp://a/",
        "http://u:p@a/",
        "file:///etc/passwd",
        "${settings.url}{id}",
        "//a/b",
    ],
)
def test_no_argument_chooses_the_host(template: str) -> None:
    with pytest.raises(SettingError):
        fill_url(template, SETTINGS, {"host": "evil.test", "id": ".evil.test/"})


def test_a_missing_setting_or_argument_is_named() -> None:
    with pytest.raises(SettingError, match="no setting 'shop'"):
        fill_url("${settings.shop}/a", SETTINGS, {})
    with pytest.raises(TemplateError, match="needs the argument 'id'"):
        fill_url("${settings.url}/{id}", SETTINGS, {})


def test_other_arguments_go_into_the_query() -> None:
    url = with_query("http://a/b?x=1", {"text": "a b&c=d", "tags": ["x", "y"], "none": None, "flag": True, "n": 1.5})
    assert url == "http://a/b?x=1&flag=true&n=1.5&tags=x&tags=y&text=a%20b%26c%3Dd"
    with pytest.raises(TemplateError):
        with_query("http://a", {"x": {"y": 1}})


def test_a_header_cannot_be_split() -> None:
    assert header_value("X", "Bearer abc") == "Bearer abc"
    for text in ("a\r\nSet-Cookie: x", "a\x00", "é"):
        with pytest.raises(SettingError):
            header_value("X", text)


def test_secrets_are_found_and_their_absence_named_without_their_value() -> None:
    source = environment_secrets(
        {"SIGNOFF_SECRET_SHOP": "s3cret", "OTHER": "o", "SIGNOFF_DATABASE__URL": "postgres://x"}
    )
    assert fill_secrets("Bearer ${secret.SHOP}", source) == ("Bearer s3cret", ("s3cret",))
    assert fill_secrets("${env.OTHER}", source) == ("o", ("o",))
    for reference in ("${secret.NOPE}", "${env.SIGNOFF_DATABASE__URL}", "${env.SIGNOFF_SECRET_SHOP}"):
        with pytest.raises(SettingError):
            fill_secrets(reference, source)


@patient
@given(first=st.text(min_size=1), second=st.text(min_size=1))
def test_different_keys_stay_different_in_a_header(first: str, second: str) -> None:
    try:
        first.encode()
        second.encode()
    except UnicodeEncodeError:
        return
    assert (key_for_header(first) == key_for_header(second)) is (first == second)
    assert header_value("Idempotency-Key", key_for_header(first))
    assert len(key_for_header(first * 300)) <= 255


def test_an_ordinary_key_is_readable_in_its_header() -> None:
    assert key_for_header("refund/#W123") == "refund/#W123"
