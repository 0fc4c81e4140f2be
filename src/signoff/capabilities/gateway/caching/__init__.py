"""Answers given before: exact matches for the same principal only, one question under way at a time."""

from signoff.capabilities.gateway.caching.cache import CacheSettings, KeptAnswers

__all__ = ["CacheSettings", "KeptAnswers"]
