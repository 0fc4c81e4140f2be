"""`signoff confidence`: calibrations from golden cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.cli.options import JsonOption, ProjectOption, examples
from signoff.cli.output import print_json

if TYPE_CHECKING:
    from signoff.capabilities.validation.precision import Bin

app = typer.Typer(help="Confidence: calibrations from golden cases.", no_args_is_help=True, rich_markup_mode=None)

BAR_CHARACTERS = 40
"""Length of a whole bar of the reliability diagram."""


@app.callback()
def confidence() -> None:
    """Confidence: calibrations from golden cases."""


@app.command(
    epilog=examples(
        "signoff confidence fit classify --cases golden.jsonl",
        "signoff confidence fit classify --cases golden.jsonl --method platt --picture reliability.svg",
    )
)
def fit(
    name: Annotated[str, typer.Argument(help="The prompt, which declares 'confidence'.")],
    *,
    cases: Annotated[Path, typer.Option("--cases", help='JSON lines: {"signals": {"own": 0.9}, "correct": true}.')],
    out: Annotated[
        Path | None, typer.Option("--out", help="The document to write; the prompt's own in the project otherwise.")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="isotonic, or platt for few cases.")] = "isotonic",
    picture: Annotated[Path | None, typer.Option("--picture", help="An SVG of the reliability to write.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the calibration of a prompt's confidence, and show how reliable it is on cases that it was not made of."""
    from signoff.capabilities.validation.documents import fit_document, read_cases
    from signoff.capabilities.validation.pictures import reliability_svg
    from signoff.cli.workspace import project_directory
    from signoff.core.errors import InvalidError

    directory = project_directory(project)
    contract, version = _declared(directory, name)
    if method not in ("isotonic", "platt"):
        raise InvalidError(f"There is no method '{method}': write isotonic or platt")
    target = out or (directory / contract.calibration if contract.calibration else None)
    if target is None:
        raise InvalidError("Where to? Add 'calibration: calibrations/….json' to the prompt's confidence, or --out.")
    golden = read_cases(_content(cases))
    document, before, after = fit_document(
        name, contract.kind, contract.signals, golden, method, prompt_version=version
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(document.as_json())
    if picture is not None:
        picture.write_text(reliability_svg(before, after, title=f"Reliability of {name}"), encoding="utf-8")
    if as_json:
        print_json({"file": str(target), "version": document.version, **document.measured})
        return
    _tell(target, document.version, document.measured, after)


def _content(cases: Path) -> bytes:
    from signoff.core.errors import InvalidError

    try:
        return cases.read_bytes()
    except OSError as error:
        raise InvalidError(f"The cases in {cases} cannot be read: {error.strerror}") from error


def _declared(directory: Path, name: str) -> tuple[Any, str]:
    """The confidence and the version of the prompt's latest file; the project need not be whole: this is missing."""
    from signoff.catalog.parsing.fields import Fields, Report
    from signoff.catalog.parsing.prompts import parse_prompt, split_front_matter
    from signoff.catalog.sources import read_files
    from signoff.catalog.versions import parse_version
    from signoff.core.errors import DefinitionError, NotFoundError, Problem
    from signoff.workflows.documents import load_document

    found: dict[tuple[int, ...], tuple[Any, str]] = {}
    for file, content in read_files(directory).items():
        if not (file.startswith("prompts/") and file.endswith(".md")):
            continue
        # What else is wrong with other files is for `signoff check`.
        parts = split_front_matter(content.decode("utf-8-sig", "replace").replace("\r\n", "\n"))
        if parts is None:
            continue
        node, problems = load_document(parts[0], file), list[Problem]()
        prompt = parse_prompt(Fields(Report(file, node, problems), node.plain()), parts[1], parts[2], digest="")
        if prompt.name != name:
            continue
        if problems:
            raise DefinitionError(f"The prompt '{name}' has problems.", problems=problems)
        if prompt.answer.confidence is not None:
            found[parse_version(prompt.version)] = (prompt.answer.confidence, prompt.version)
    if not found:
        hint = "add 'confidence: {signals: [own]}'"
        raise NotFoundError(f"There is no prompt '{name}' in {directory} that declares a confidence: {hint}.")
    return found[max(found)]


def _tell(target: Path, version: str, measured: Any, after: list[Bin]) -> None:
    print(f"Wrote {target}: version {version[:12]}, of {measured['cases']} cases, {measured['accuracy']:.1%} right.")
    print(f"Calibration error: {measured['ece_before']:.3f} before, {measured['ece_after']:.3f} after, held out.")
    print("says    is right   answers")
    for bar in after:
        drawn = "#" * round(bar.accuracy * BAR_CHARACTERS)
        print(f"{bar.confidence:6.1%}   {bar.accuracy:6.1%}  {bar.count:8}  {drawn}")
    for precision, gate in measured["gates"].items():
        print(
            f"For {float(precision):.0%} precision: >= {gate['threshold']}; lets {gate['share']:.1%} through, of which"
            f" {gate['precision']:.1%} were right (at least {gate['lower_bound']:.1%})."
        )
