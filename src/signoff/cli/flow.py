"""`signoff explain flow`: where a value of a workflow comes from, who could choose it, what decided that it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.cli.options import JsonOption, examples
from signoff.cli.output import console, plain, print_json
from signoff.core.errors import NotFoundError, did_you_mean

if TYPE_CHECKING:
    from signoff.catalog import Project
    from signoff.workflows.flow import Flow, FlowResult, StepFlow
    from signoff.workflows.flow.model import Atom

app = typer.Typer(help="Explain what a project does before it runs.", no_args_is_help=True)

DATA_KEYS = ("with", "propose", "payload", "set", "query", "items", "start", "until", "match")
"""Where a step's data stands: `refund.cents` is `cents` of its `with`, or of what it gives."""


@app.command(
    epilog=examples("signoff explain flow refund.cents", "signoff explain flow decision --workflow support/refund")
)
def flow(
    value: Annotated[str, typer.Argument(help="A step and a field: refund.cents; a step in a group: lines/pay.payee.")],
    path: Annotated[Path | None, typer.Option("-C", "--project", help="The project's directory.")] = None,
    workflow: Annotated[
        str | None, typer.Option("-w", "--workflow", help="Which workflow, if there are several.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print where a value comes from: every path, what confines it, its class, and what decided that it is used."""
    from signoff.catalog.flow import project_flow
    from signoff.catalog.projects import load_project_files
    from signoff.catalog.sources import read_files
    from signoff.cli.workspace import project_directory

    project = load_project_files(read_files(project_directory(path)))
    results = project_flow(project).results
    result = _workflow(results, workflow, value)
    step, found, what = _value(result, value)
    data = _told(found)
    facts = {"workflow": result.workflow.name, "value": value, "what": what, **data, "decided_by": _told(step.control)}
    if as_json:
        print_json(facts)
        return
    target = console()
    target.print(plain(f"{value}: {what} of step '{step.path}', {result.workflow.file}:{step.step.line}"))
    for line in (*_lines(project, result, found, "data"), *_lines(project, result, step.control, "control")):
        target.print(plain(line), soft_wrap=True)


def _workflow(results: Any, name: str | None, value: str) -> FlowResult:
    if name is not None:
        if name not in results:
            raise NotFoundError(
                f"There is no workflow '{name}' in YAML. {did_you_mean(name, list(results)) or ''}".rstrip()
            )
        return results[name]
    step = value.split(".", 1)[0]
    having = [result for result in results.values() if step in result.steps]
    if len(having) == 1:
        return having[0]
    if having:
        names = ", ".join(result.workflow.name for result in having)
        raise NotFoundError(f"Several workflows have a step '{step}': say which with --workflow. There are: {names}.")
    known = sorted({path for result in results.values() for path in result.steps})
    raise NotFoundError(f"There is no step '{step}'. {did_you_mean(step, known) or ''}".rstrip())


def _value(result: FlowResult, value: str) -> tuple[StepFlow, Flow, str]:
    """The flow of a field: of what the step acts with, where it has such an argument, else of what it gives."""
    name, _, rest = value.partition(".")
    step = result.steps.get(name)
    if step is None:
        raise NotFoundError(f"There is no step '{name}'. {did_you_mean(name, list(result.steps)) or ''}".rstrip())
    path = tuple(rest.split(".")) if rest else ()
    if not path:
        return step, step.value.whole(), "what it gives"
    for key in DATA_KEYS:
        given = step.arguments.fields.get(key)
        if given is not None and path[0] in given.fields and step.step.verb != "review":
            return step, given.select(path).whole(), f"an argument ('{key}')"
    return step, step.value.select(path).whole(), "what it gives"


def _told(found: Flow) -> dict[str, Any]:
    return {
        "class": found.data_class.name.lower(),
        "trust": found.trust.name.lower(),
        "residency": sorted(found.residency),
        "paths": [
            {
                "source": atom.source,
                "trust": atom.trust.name.lower(),
                "domain": atom.domain,
                "review": atom.review,
                "path": [{"at": hop.at, "how": hop.how, "line": hop.line} for hop in atom.path],
            }
            for atom in _sorted(found.atoms)
        ],
    }


def _sorted(atoms: Iterable[Atom]) -> list[Atom]:
    return sorted(atoms, key=lambda atom: (-atom.trust, atom.source, len(atom.path), atom.domain, atom.review))


def _lines(project: Project, result: FlowResult, found: Flow, what: str) -> Iterator[str]:
    del project
    title = {"data": "Its value", "control": "That the step runs"}[what]
    if not found.atoms:
        yield f"{title}: nothing untrusted has a part in it. Class {found.data_class.name.lower()}."
    else:
        yield f"{title}: class {found.data_class.name.lower()}; untrusted input has a part in it:"
    for atom in _sorted(found.atoms):
        yield f"  {_trust(atom)}"
        for hop in atom.path:
            place = f"  {hop.file or result.workflow.file}:{hop.line}" if hop.line else ""
            yield f"    → {hop.at}{f' ({hop.how})' if hop.how else ''}{place}"
    if len(found.class_path) > 1:
        yield f"  its class comes from {found.class_path[0].at}"


def _trust(atom: Atom) -> str:
    domain = f": {atom.domain}" if atom.domain else ""
    seen = f", and the review '{atom.review}' endorses it for the effect that requires it" if atom.review else ""
    unseen = f", where nobody has to look in '{atom.unreviewed}'" if atom.unreviewed else ""
    word = {"trusted": "without a choice", "confined": "confined", "untrusted": "untrusted"}[atom.trust.name.lower()]
    return f"from {atom.source}, {word}{domain}{seen}{unseen}"
