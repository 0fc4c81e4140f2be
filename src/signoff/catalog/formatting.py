"""`signoff fmt`: a project's YAML in one layout, comments kept. What a file means is never changed: it is compared."""

from __future__ import annotations

import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from signoff.core.errors import DefinitionError
from signoff.workflows.documents import load_document

WIDTH = 100_000
"""Lines are never broken: a formatter that moves words about makes reviews of changes harder."""

_ENDING = re.compile(r"[ \t]+$", re.MULTILINE)


def format_text(name: str, text: str) -> str:
    """The text of a file as it should be laid out; of a kind that is not formatted, as it is.

    YAML: two spaces a level, lists indented by two, one blank line at most, no space at the end of a line.

    Raises:
        DefinitionError: it cannot be read.
    """
    if not name.endswith((".yaml", ".yml")):
        return text
    meant = load_document(text, name).plain()
    laid_out = _laid_out(text)
    try:
        same = laid_out is not None and load_document(laid_out, name).plain() == meant
    except DefinitionError:
        same = False
    # What the layout would change in meaning stays as its author wrote it.
    return laid_out if same and laid_out is not None else text


def _laid_out(text: str) -> str | None:
    yaml: Any = YAML(typ="rt", pure=True)
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    yaml.brace_single_entry_mapping_in_flow_sequence = True  # `[{retrieve: handbook}]` stays what people read
    yaml.allow_duplicate_keys = True
    target = io.StringIO()
    try:
        yaml.dump(yaml.load(text), target)
    except (YAMLError, ValueError, TypeError, AttributeError, IndexError, RecursionError):
        return None
    found = _ENDING.sub("", target.getvalue())
    return re.sub(r"\n{3,}", "\n\n", found).strip("\n") + "\n"
