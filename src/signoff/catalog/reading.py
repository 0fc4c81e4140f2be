"""Reads the files of a project one by one: what each says for itself, whatever the others do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from signoff.catalog.parsing.fields import Fields, Report
from signoff.catalog.parsing.prompts import parse_prompt, split_front_matter
from signoff.catalog.prompts import Prompt
from signoff.core.errors import DefinitionError, Problem
from signoff.core.ids import digest
from signoff.workflows.documents import load_document


class FileReader:
    """Reads files of a project.

    Args:
        files: by path with `/`.

    Attributes:
        problems: what is wrong with those that were read.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.problems: list[Problem] = []

    def named(self, folder: str, ending: str) -> Iterator[str]:
        """The files in a folder, by name."""
        return (name for name in sorted(self.files) if name.startswith(f"{folder}/") and name.endswith(ending))

    def texts(self, folder: str, ending: str) -> dict[str, str]:
        """Those of them that are texts."""
        return {name: text for name in self.named(folder, ending) if (text := self.text(name)) is not None}

    def text(self, name: str) -> str | None:
        """A file's text, or none where it is not UTF-8."""
        try:
            text = self.files[name].decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self.files[name][: error.start].count(b"\n") + 1
            suggestion = "Save it in UTF-8."
            self.problems.append(Problem("This is not UTF-8.", name, line, suggestion=suggestion, code="encoding"))
            return None
        return text.replace("\r\n", "\n")

    def fields(self, name: str, text: str | None = None) -> Fields | None:
        """The members of a YAML file, or none where it is not even a mapping."""
        text = self.text(name) if text is None else text
        if text is None:
            return None
        try:
            node = load_document(text, name)
        except DefinitionError as error:
            self.problems += error.problems
            return None
        report = Report(name, node, self.problems)
        if node.kind != "mapping":
            report.add((), "This must be a mapping of keys to values.", code="wrong-type")
            return None
        return Fields(report, cast("dict[str, Any]", node.plain()))

    def prompt(self, name: str) -> Prompt | None:
        """The prompt of a file, or none where it is none."""
        text = self.text(name)
        parts = split_front_matter(text) if text is not None else None
        if parts is None:
            if text is not None:
                suggestion = "Start it with '---', the prompt's name and contract, and '---'."
                detail = "The prompt has no front matter."
                self.problems.append(Problem(detail, name, 1, 1, suggestion=suggestion, code="front-matter"))
            return None
        fields = self.fields(name, parts[0])
        return parse_prompt(fields, parts[1], parts[2], digest=digest(self.files[name])) if fields else None
