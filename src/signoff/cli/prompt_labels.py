"""`signoff prompts label` and `labels`: names that people move between the versions of a prompt."""

from __future__ import annotations

from typing import Annotated

import typer

from signoff.cli.options import JsonOption, KeyOption, ProjectOption, UrlOption, examples
from signoff.cli.output import clean, moment, print_json, print_table
from signoff.cli.prompts import LimitOption, NameArgument, app


@app.command(
    "label",
    epilog=examples(
        'signoff prompts label classify candidate 3.1.0 -m "Better on refunds"',
        "signoff prompts label classify production candidate",
        "signoff prompts label classify candidate --remove",
    ),
)
def label_version(
    name: NameArgument,
    label: Annotated[str, typer.Argument(help="The label, such as production.")],
    version: Annotated[str | None, typer.Argument(help="A released version, or another label's.")] = None,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; it stays in the label's history.")] = "",
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take the label away.")] = False,
    expect: Annotated[
        int | None,
        typer.Option("--expect", min=0, help="The label's place that you decided on; the present one otherwise."),
    ] = None,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Point a label at a released version. If somebody moved it since it was looked at, nothing happens.

    A label says what people think of a version; what runs is decided by releases alone.
    """
    from signoff.cli.deliverers import deliverer, version_of
    from signoff.cli.workspace import project_name

    if remove == (version is not None):
        raise typer.BadParameter("name a version, or give --remove", param_hint="VERSION")
    through, named = deliverer(project, url, key), project_name(project)
    seen = expect if expect is not None else through.label(named, name, label)["place"]
    chosen = None if version is None else version_of(through, named, name, version)
    moved = through.move_label(named, name, label, version=chosen, seen=seen, reason=reason)
    if as_json:
        print_json(moved)
    else:
        where = f"is at {name}@{moved['version']}" if moved["version"] else f"is at no version of {name} any more"
        print(clean(f"Label {label} {where} (place {moved['place']})."))


@app.command("labels", epilog=examples("signoff prompts labels classify", "signoff prompts labels classify production"))
def labels_of(
    name: NameArgument,
    label: Annotated[str | None, typer.Argument(help="One label's history; where all are otherwise.")] = None,
    *,
    limit: LimitOption = 50,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a prompt's labels are, or every move of one of them: who, when, from where to where and why."""
    from signoff.cli.deliverers import deliverer
    from signoff.cli.workspace import project_name

    through, named = deliverer(project, url, key), project_name(project)
    found = through.labels(named, name) if label is None else through.label_history(named, name, label, limit)
    if as_json:
        for one in found:
            print_json(one)
        return
    if not found:
        print(clean(f"Prompt {name} has no labels."))
        return
    print_table(
        ("label", "place", "version", "before", "when", "who", "why"),
        [
            (
                one["label"],
                one["place"],
                one["version"] or "(removed)",
                one["before"],
                moment(one["changed_at"]),
                one["changed_by"],
                one["reason"],
            )
            for one in found
        ],
    )
