"""One way to any model: policy, route, budget, call, validation, repair, accounting.

The local models' store is `signoff.capabilities.gateway.models_store`; the protocol for vendors is `….provider`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
else:
    from signoff.core.lazy import offered

    __getattr__ = offered(
        __name__,
        {
            "Attempt": "signoff.capabilities.gateway.model",
            "Budget": "signoff.capabilities.gateway.budget",
            "Decide": "signoff.capabilities.gateway.model",
            "DecisionLike": "signoff.capabilities.gateway.model",
            "Embeddings": "signoff.capabilities.gateway.model",
            "Gateway": "signoff.capabilities.gateway.service",
            "GatewayError": "signoff.capabilities.gateway.model",
            "ModelResult": "signoff.capabilities.gateway.model",
            "ModelTask": "signoff.capabilities.gateway.model",
            "Provider": "signoff.capabilities.gateway.provider",
            "ProviderError": "signoff.capabilities.gateway.provider",
            "ProviderFactory": "signoff.capabilities.gateway.provider",
            "ProviderReply": "signoff.capabilities.gateway.provider",
            "ProviderRequest": "signoff.capabilities.gateway.provider",
        },
    )

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
