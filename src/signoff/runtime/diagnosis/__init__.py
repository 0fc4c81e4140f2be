"""What `signoff doctor` looks at: whether the server keeps what the promise rests on, and whether work moves."""

from signoff.runtime.diagnosis.checks import Finding, diagnose, worst

__all__ = ["Finding", "diagnose", "worst"]
