"""Values too large for an event: kept once by their content, named in the journal by reference."""

from signoff.runtime.artifacts.references import MARK, Content, find_references, put_back, split
from signoff.runtime.artifacts.storing import (
    ArtifactError,
    ArtifactUse,
    describe_artifact,
    fetch,
    keep,
    read_artifact,
    share,
)

__all__ = [
    "MARK",
    "ArtifactError",
    "ArtifactUse",
    "Content",
    "describe_artifact",
    "fetch",
    "find_references",
    "keep",
    "put_back",
    "read_artifact",
    "share",
    "split",
]
