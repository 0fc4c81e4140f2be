"""`bedrock`: models behind Amazon Bedrock's runtime API, by API key or by signed requests."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Generator
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

import httpx

from signoff.capabilities.gateway.configuration import required
from signoff.capabilities.gateway.providers.vectors import VectorVendor, bedrock_vectors
from signoff.capabilities.gateway.providers.vendors import Endpoint, Vendor, base_url, one_of
from signoff.capabilities.gateway.providers.wire.bedrock import BedrockConverse, BedrockInvoke
from signoff.catalog.models import ModelSpec
from signoff.core.clock import Clock, SystemClock

_ALGORITHM = "AWS4-HMAC-SHA256"


def create(spec: ModelSpec) -> Vendor:
    """The provider of one configured model.

    Raises:
        ProviderError: a setting is missing or wrong.
    """
    model, region = required(spec, "model"), required(spec, "region")
    api = one_of(spec, "api", ("converse", "invoke"))
    root = f"{base_url(spec, f'https://bedrock-runtime.{region}.amazonaws.com')}/model/{quote(model, safe='')}/"
    headers: dict[str, str] = {}
    auth: httpx.Auth | None = None
    if spec.settings.get("api_key"):
        headers["authorization"] = f"Bearer {required(spec, 'api_key')}"
    else:
        auth = SignatureV4(
            required(spec, "access_key_id"),
            required(spec, "secret_access_key"),
            str(spec.settings.get("session_token") or ""),
            region=region,
        )
    ending = "-stream" if api == "converse" else "-with-response-stream"
    wire = BedrockConverse() if api == "converse" else BedrockInvoke()
    endpoint = Endpoint(f"{root}{api}", f"{root}{api}{ending}", headers, auth)
    return VectorVendor(spec, wire, endpoint, bedrock_vectors(f"{root}invoke", model))


class SignatureV4(httpx.Auth):
    """AWS Signature Version 4 (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).

    Sixty lines here instead of botocore, which is 90 MB.
    """

    requires_request_body = True

    def __init__(
        self,
        access_key_id: str,
        secret_access_key: str,
        session_token: str = "",
        *,
        region: str,
        service: str = "bedrock",
        clock: Clock | None = None,
    ) -> None:
        self._id, self._secret, self._token = access_key_id, secret_access_key, session_token
        self._region, self._service = region, service
        self._clock = clock or SystemClock()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Sign the request as it is about to leave."""
        now = self._clock.now().astimezone(UTC)
        request.headers["x-amz-date"] = f"{now:%Y%m%dT%H%M%SZ}"
        if self._token:
            request.headers["x-amz-security-token"] = self._token
        request.headers["authorization"] = self._authorization(request, now)
        yield request

    def _authorization(self, request: httpx.Request, now: datetime) -> str:
        signed = sorted(
            (name.lower(), " ".join(value.split()))
            for name, value in request.headers.items()
            if name.lower() in ("host", "content-type") or name.lower().startswith("x-amz-")
        )
        names = ";".join(name for name, _ in signed)
        path, _, query = request.url.raw_path.decode().partition("?")
        canonical = "\n".join(
            [
                request.method,
                # Every service but S3 signs the path encoded once more.
                quote(path, safe="/-_.~"),
                "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in sorted(parse_qsl(query, keep_blank_values=True))),
                *(f"{name}:{value}" for name, value in signed),
                "",
                names,
                hashlib.sha256(request.content).hexdigest(),
            ]
        )
        scope = f"{now:%Y%m%d}/{self._region}/{self._service}/aws4_request"
        text = "\n".join([_ALGORITHM, f"{now:%Y%m%dT%H%M%SZ}", scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{self._secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return f"{_ALGORITHM} Credential={self._id}/{scope}, SignedHeaders={names}, Signature={signature}"


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
