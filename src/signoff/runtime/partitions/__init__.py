"""The journal's partitions: one per month of runs' starts, made ahead."""

from signoff.runtime.partitions.months import (
    MONTHS_AHEAD,
    Coverage,
    MissingPartitionError,
    covered,
    missing_partition,
    prepare_partitions,
)

__all__ = [
    "MONTHS_AHEAD",
    "Coverage",
    "MissingPartitionError",
    "covered",
    "missing_partition",
    "prepare_partitions",
]
