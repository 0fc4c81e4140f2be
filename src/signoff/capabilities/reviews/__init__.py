"""Reviews: a person's part in a run, bound by digest to exactly what was presented."""

from .inbox import count_reviews, list_reviews
from .model import InboxCounts, Review, ReviewDecision, ReviewLimits, ReviewPage, ReviewRequest, ReviewSummary
from .service import decide, escalate, expire, open_review, read_review, withdraw

__all__ = [
    "InboxCounts",
    "Review",
    "ReviewDecision",
    "ReviewLimits",
    "ReviewPage",
    "ReviewRequest",
    "ReviewSummary",
    "count_reviews",
    "decide",
    "escalate",
    "expire",
    "list_reviews",
    "open_review",
    "read_review",
    "withdraw",
]
