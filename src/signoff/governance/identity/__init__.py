"""Identity: API keys with roles. Every request, start and decision names the actor that its key stands for."""

from signoff.governance.identity.model import Key
from signoff.governance.identity.service import authenticate, create_key, list_keys, revoke_key

__all__ = ["Key", "authenticate", "create_key", "list_keys", "revoke_key"]
