"""Every name that leaves as telemetry. Those that begin with `gen_ai.` are OpenTelemetry's GenAI conventions.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/ (in development there, so they are kept in one place).
"""

from __future__ import annotations

SCOPE = "signoff.gateway"

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105  (a name)
ERROR_TYPE = "error.type"

TOKEN_USAGE = "gen_ai.client.token.usage"  # noqa: S105  (a name)
OPERATION_DURATION = "gen_ai.client.operation.duration"
TIME_TO_FIRST_TOKEN = "gen_ai.server.time_to_first_token"  # noqa: S105  (a name)

CALL = "signoff.call.id"
RUN = "signoff.run.id"
STEP = "signoff.step"
WORKFLOW = "signoff.workflow"
PROJECT = "signoff.project"
ENVIRONMENT = "signoff.environment"
TEAM = "signoff.team"
OUTCOME = "signoff.outcome"
CACHED = "signoff.cached"
COST = "signoff.cost"
PROMPT = "signoff.prompt"
INJECTION = "signoff.injection"

OPERATIONS = {
    "chat": "chat",
    "stream": "chat",
    "embed": "embeddings",
    "task": "chat",
}
"""What the conventions call the kinds of our calls."""
