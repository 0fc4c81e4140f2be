"""Dry runs of moving runs to other code: the control plane asks, a worker runs it over the journal and answers."""

from signoff.runtime.rehearsals.asking import NotRehearsedError, Rehearsal, rehearse
from signoff.runtime.rehearsals.rehearser import Rehearser

__all__ = ["NotRehearsedError", "Rehearsal", "Rehearser", "rehearse"]
