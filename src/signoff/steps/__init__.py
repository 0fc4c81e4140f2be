"""One file per verb of the language: each binds a capability to the engine."""

from signoff.steps.assembly import open_worker, prepare_release
from signoff.steps.services import Services

__all__ = ["Services", "open_worker", "prepare_release"]
