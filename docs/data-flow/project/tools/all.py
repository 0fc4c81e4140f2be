"""The tools of the thirty workflows. Nothing calls them: their contracts are what the analysis reads."""


def call(**arguments: object) -> dict[str, object]:
    """Give back what was given."""
    return arguments
