"""Which runs a worker takes next, and when it looks again."""

from signoff.runtime.claims.claiming import Claims

__all__ = ["Claims"]
