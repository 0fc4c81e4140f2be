"""Queues as people see them: bounds, what is in use and waits, and pausing them."""

from signoff.runtime.starting.queue_states.service import (
    QueueState,
    Share,
    list_queues,
    pause_queue,
    read_queue,
    read_shares,
    resume_queue,
)

__all__ = [
    "QueueState",
    "Share",
    "list_queues",
    "pause_queue",
    "read_queue",
    "read_shares",
    "resume_queue",
]
