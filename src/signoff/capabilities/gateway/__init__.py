"""One way to any model: policy, route, budget, call, validation, repair, accounting.

The local models' store is `signoff.capabilities.gateway.models_store`; the protocol for vendors is `….provider`.
"""

from signoff.capabilities.gateway.budget import Budget
from signoff.capabilities.gateway.model import (
    Attempt,
    Decide,
    DecisionLike,
    Embeddings,
    GatewayError,
    ModelResult,
    ModelTask,
)
from signoff.capabilities.gateway.provider import (
    Provider,
    ProviderError,
    ProviderFactory,
    ProviderReply,
    ProviderRequest,
)
from signoff.capabilities.gateway.service import Gateway

__all__ = [
    "Attempt",
    "Budget",
    "Decide",
    "DecisionLike",
    "Embeddings",
    "Gateway",
    "GatewayError",
    "ModelResult",
    "ModelTask",
    "Provider",
    "ProviderError",
    "ProviderFactory",
    "ProviderReply",
    "ProviderRequest",
]
