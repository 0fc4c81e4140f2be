"""The tool `replies.write`. A tool is a function from a dictionary to a dictionary, as its contract says."""

from __future__ import annotations

ANSWERS = {
    "question": "thank you for asking. We look into it and write back today.",
    "complaint": "we are sorry. Somebody will call you within a day.",
    "praise": "thank you, that made our day.",
}


def write(arguments: dict[str, str]) -> dict[str, str]:
    """The first answer to a message of that kind."""
    return {"text": f"Hello {arguments['name']}, {ANSWERS[arguments['label']]}"}
