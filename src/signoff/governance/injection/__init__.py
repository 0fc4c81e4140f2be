"""Injections: how much a text from outside looks like one, and whether a text that leaves could carry data out."""

from signoff.governance.injection.detector import THRESHOLD, VERSION, InjectionSignal, detect
from signoff.governance.injection.exfiltration import ExfiltrationFinding, ExfiltrationReport, check_outgoing

__all__ = [
    "THRESHOLD",
    "VERSION",
    "ExfiltrationFinding",
    "ExfiltrationReport",
    "InjectionSignal",
    "check_outgoing",
    "detect",
]
