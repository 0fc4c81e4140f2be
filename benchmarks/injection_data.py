"""The development splits that the injection detector is trained on and measured with, in halves that share no attack.

A row is of the reported half by the hash of what must not be in both: a prompt's first words (deepset has variants), an
injection's goal (agentdojo puts one into many outputs), the text itself (notinject). Of BIPIA no attack and no
table is trained on, half of the e-mails is, as benign.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

DATA = Path(__file__).parents[2] / "shared" / "data"
SEED = 5
PREFIX_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Row:
    """A text, whether it has an injection, and whether it is of the half that is reported and never trained on."""

    text: str
    injected: bool
    reported: bool


def rows(path: str) -> list[dict[str, Any]]:
    """The lines of a file below the data's directory."""
    return [json.loads(line) for line in (DATA / path).read_text(encoding="utf-8").splitlines()]


def plain(text: str) -> str:
    """Letters and digits in small, single spaces: what two texts are compared by."""
    return re.sub(r"\W+", " ", text.lower()).strip()


def deepset() -> list[Row]:
    return [
        Row(row["text"], row["label"] == 1, _is_reported(plain(row["text"])[:PREFIX_CHARACTERS]))
        for row in rows("deepset_prompt_injections/dev/prompts.jsonl")
    ]


def notinject() -> list[Row]:
    return [Row(row["text"], False, _is_reported(row["text"])) for row in rows("notinject/dev/benign.jsonl")]


def agentdojo() -> list[Row]:
    return [
        Row(
            row["tool_output"],
            row["label"] == 1,
            _is_reported(row["injection_goal"] if row["label"] == 1 else row["user_task"] + row["suite"]),
        )
        for row in rows("agentdojo/dev/tool_outputs.jsonl")
    ]


def bipia() -> list[Row]:
    """Each attack at the start, in the middle and at the end of a context; and the contexts alone."""
    attacks = rows("bipia/dev/text_attacks.jsonl") + rows("bipia/dev/code_attacks.jsonl")
    contexts = [row["context"] for row in rows("bipia/dev/table_contexts.jsonl")]
    contexts += [email for email in emails() if _is_reported(email)]
    chance = random.Random(SEED)
    composed = [
        Row(text, injected=True, reported=True)
        for attack in attacks
        for text in _composed(chance.choice(contexts), attack["text"])
    ]
    return composed + [Row(context, injected=False, reported=True) for context in contexts]


def emails() -> list[str]:
    """BIPIA's e-mails, all of them; `training_emails` has those that are not reported."""
    return [row["context"] for row in rows("bipia/dev/email_contexts.jsonl")]


def training_emails() -> list[str]:
    """The half of BIPIA's e-mails that no reported text is composed of."""
    return [email for email in emails() if not _is_reported(email)]


def _composed(context: str, attack: str) -> Iterator[str]:
    lines = re.split(r"(?<=[.!?\n])", context)
    middle = len(lines) // 2
    yield f"{attack}\n{context}"
    yield f"{''.join(lines[:middle])}\n{attack}\n{''.join(lines[middle:])}"
    yield f"{context}\n{attack}"


def _is_reported(key: str) -> bool:
    return crc32(f"half:{key}".encode()) % 2 == 1
