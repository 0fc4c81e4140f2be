"""libyaml and the reader that knows YAML 1.2 make the same tree, places included, of whatever the first may read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.docs_pages import CHECKOUT
from support.workflow_cases import REFUND

from signoff.core.errors import DefinitionError
from signoff.workflows.documents import load_carefully, load_quickly

TEXTS = {
    "refund": REFUND,
    "blocks": "a: |\n  x\n   y\n\nb: >-\n  u\n  v\n\n  w\n# c\nc: plain\n  folded\n  text\n",
    "quotes": "a: 'it''s'\nb: \"x\\n\\u00e4\"\nc: {d: [x:y, z], \"q\": 2}\n",
    "lists": "- a\n- - b\n  - c: d\n    e: f\n-\n  g: h\n",
    "letters": "ä: ö # ü\nb: '日本'\nc: [é, 𝄞]\nd: 𝄞 x\n",
    **{
        path.stem: path.read_text("utf-8")
        for path in (CHECKOUT / "examples" / "refunds").rglob("*.yaml")
        if path.stat().st_size < 5_000
    },
}
PIECES = st.text(alphabet=" \n:-#'\"{}[]|>,&*!%@`?ab1~.\\é\t\u2028", max_size=4)


@pytest.mark.parametrize("name", TEXTS)
def test_plain_documents_are_read_quickly(name: str) -> None:
    assert load_quickly(TEXTS[name], name) == load_carefully(TEXTS[name], name)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(TEXTS)), st.lists(st.tuples(st.integers(0, 5_000), PIECES, st.integers(0, 3)), max_size=3)
)
def test_both_readers_agree_on_what_both_read(name: str, edits: list[tuple[int, str, int]]) -> None:
    text = TEXTS[name]
    for at, piece, cut in edits:
        place = at % (len(text) + 1)
        text = text[:place] + piece + text[place + cut :]
    quick = load_quickly(text, "f")
    if quick is None:
        return
    try:
        careful = load_carefully(text, "f")
    except DefinitionError:
        return  # YAML 1.2 that the careful reader does not know, such as ['a':1]
    assert quick == careful
