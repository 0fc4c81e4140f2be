"""`signoff plan`, `release`, `deploy`, `rollback`, `history`: from a project's files to an environment, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.cli.delivery_views import print_history, print_moved, print_plan, print_released, print_releases
from signoff.cli.options import JsonOption, KeyOption, ProfileOption, ProjectOption, UrlOption, examples
from signoff.cli.output import EXIT_FAILURE, print_json, tell

if TYPE_CHECKING:
    from signoff.catalog import Project
    from signoff.cli.delivery_protocol import Deliverer

EXIT_CHANGES = 2
"""`plan` found changes: as Terraform's `-detailed-exitcode` has it, so that a pipeline can tell."""

EnvironmentArgument = Annotated[str, typer.Argument(metavar="ENV", help="The environment, such as prod.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-m", help="Why; it stays in the environment's history.")]
SeenOption = Annotated[
    int | None,
    typer.Option(
        "--expect",
        min=0,
        help="The environment's version that you decided on, as the plan says; the present one otherwise.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check everything, ask policy, and change nothing.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")]

releases_app = typer.Typer(help="Releases: list, show, delete.", no_args_is_help=True, rich_markup_mode=None)


def plan(
    environment: EnvironmentArgument,
    release: Annotated[str | None, typer.Argument(help="A release; the project's files otherwise.")] = None,
    *,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what deploying would change of an environment. Exits with 0 for nothing, 2 for changes, 1 for problems.

    Workflows, prompts, schemas, tools, models and policies; contracts, with the version that their change demands; what
    the data-flow analysis says of each argument; and what a run may cost at most.
    """
    from signoff.cli.deliverers import deliverer
    from signoff.cli.plan_markdown import plan_markdown

    loaded = _project(project)
    made = deliverer(project, url, key).plan(
        loaded.name, environment, files=None if release else loaded, release=release
    )
    if as_json:
        print_json(made)
    elif markdown:
        print(plan_markdown(made))
    else:
        named = f" {release}" if release else ""
        print_plan(made, deploy=f"signoff deploy {environment}{named} --expect {made['version']} -m WHY")
    if made["problems"]:
        raise typer.Exit(EXIT_FAILURE)
    if made["changed"]:
        raise typer.Exit(EXIT_CHANGES)


def release(
    path: Annotated[Path | None, typer.Argument(help="The project's directory.", show_default=False)] = None,
    message: Annotated[
        str, typer.Option("--message", "-m", help="Why; the changelog of the prompts that change.")
    ] = "",
    *,
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    models: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep a project as a release: immutable, named by its content. No environment moves; 'signoff deploy' does that.

    The same files give the same release. A prompt that changed needs a version that says so.
    """
    from signoff.cli.deliverers import deliverer

    tell("Checking the project and building its indexes …")
    made = deliverer(path, url, key, models=models).release(_project(path), message, dry_run=dry_run)
    if as_json:
        print_json(made)
    else:
        print_released(made, dry_run=dry_run)


def deploy(
    environment: EnvironmentArgument,
    release: Annotated[
        str | None, typer.Argument(help="A release; the project's files are released otherwise.")
    ] = None,
    reason: ReasonOption = "",
    *,
    expect: SeenOption = None,
    override_quality: Annotated[
        str | None,
        typer.Option(
            "--override-quality",
            metavar="REASON",
            help="Why it goes ahead although prompts miss their quality thresholds; policy is asked, history keeps it.",
        ),
    ] = None,
    dry_run: DryRunOption = False,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    models: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Point an environment at a release, or at the project as it is, which is released first.

    Refused where a prompt's scores miss its quality thresholds, or where there are none. If somebody moved the
    environment since it was looked at, nothing happens and the command says who. Runs that were started keep their
    release.
    """
    from signoff.cli.deliverers import deliverer

    if override_quality is not None and not override_quality.strip():
        raise typer.BadParameter("say why", param_hint="--override-quality")
    loaded = _project(project)
    through = deliverer(project, url, key, models=models)
    seen = expect if expect is not None else through.environment(loaded.name, environment)["version"]
    if release is None:
        release = _released(through, loaded, environment, reason, dry_run=dry_run)
        if release is None:
            return
    moved = through.move(
        "deploy",
        loaded.name,
        environment,
        release=release,
        seen=seen,
        reason=reason,
        dry_run=dry_run,
        override_quality=override_quality,
    )
    _tell_moved(moved, as_json=as_json, dry_run=dry_run)


def _released(through: Deliverer, loaded: Project, environment: str, reason: str, *, dry_run: bool) -> str | None:
    """Release the files. Of a dry run nothing is kept, so that a move is tried only where they were released before."""
    from signoff.catalog.delivery.environments import require_environment

    require_environment(loaded, environment)
    tell("Checking the project and building its indexes …")
    made = through.release(loaded, reason, dry_run=dry_run)
    if not dry_run or made.get("existed"):
        return str(made["release"])
    print_released(made, dry_run=True)
    return None


def rollback(
    environment: EnvironmentArgument,
    release: Annotated[str | None, typer.Argument(help="A release; the one before otherwise.")] = None,
    reason: ReasonOption = "",
    *,
    expect: SeenOption = None,
    dry_run: DryRunOption = False,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Return an environment to the release that it pointed at before, or to an earlier one by name."""
    from signoff.cli.deliverers import deliverer
    from signoff.cli.workspace import project_name

    name = project_name(project)
    through = deliverer(project, url, key)
    seen = expect if expect is not None else through.environment(name, environment)["version"]
    moved = through.move("rollback", name, environment, release=release, seen=seen, reason=reason, dry_run=dry_run)
    _tell_moved(moved, as_json=as_json, dry_run=dry_run)


def history(
    environment: EnvironmentArgument,
    *,
    limit: LimitOption = 50,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every move of an environment: who, when, where to and why."""
    from signoff.cli.deliverers import deliverer
    from signoff.cli.workspace import project_name

    found = deliverer(project, url, key).history(project_name(project), environment, limit)
    if as_json:
        for move in found:
            print_json(move)
    else:
        print_history(found)


PLAN_EXAMPLES = examples("signoff plan prod", "signoff plan prod --markdown --url https://signoff.example.com")
RELEASE_EXAMPLES = examples('signoff release -m "Ask for the order number"', "signoff release ./support --dry-run")
DEPLOY_EXAMPLES = examples(
    "signoff deploy dev", 'signoff deploy prod 3f2a9c1 -m "Reviewed in #12" --expect 7', "signoff deploy prod --dry-run"
)
ROLLBACK_EXAMPLES = examples('signoff rollback prod -m "Wrong refunds"')
HISTORY_EXAMPLES = examples("signoff history prod", "signoff history prod --json | head -1")


@releases_app.command("list", epilog=examples("signoff releases list", "signoff releases list --json"))
def list_releases(
    *,
    limit: LimitOption = 20,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the releases of the project, newest first."""
    from signoff.cli.deliverers import deliverer
    from signoff.cli.workspace import project_name

    found = deliverer(project, url, key).releases(project_name(project), limit)
    if as_json:
        for release in found:
            print_json(release)
    else:
        print_releases(found)


@releases_app.command("show", epilog=examples("signoff releases show 3f2a9c1"))
def show_release(
    release: Annotated[str, typer.Argument(help="Its digest, or how that begins.")],
    *,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a release, who stands behind it, and what uses it."""
    from signoff.cli.deliverers import deliverer
    from signoff.cli.workspace import project_name

    found = deliverer(project, url, key).show_release(project_name(project), release)
    if as_json:
        print_json(found)
    else:
        print_releases([found])
        print(f"In use: {found['used_by'] or 'by nothing; it can be deleted'}.")


@releases_app.command("delete", epilog=examples("signoff releases delete 3f2a9c1"))
def delete_release(
    release: Annotated[str, typer.Argument(help="Its digest, or how that begins.")],
    *,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Delete a release that no environment, no run that goes on and no waiting start needs. For ever."""
    from signoff.cli.deliverers import deliverer
    from signoff.cli.workspace import project_name

    deliverer(project, url, key).delete_release(project_name(project), release)
    print(f"Deleted release {release}.")


def _project(directory: Path | None) -> Project:
    from signoff.catalog import load_project
    from signoff.cli.workspace import project_directory

    return load_project(project_directory(directory))


def _tell_moved(moved: dict[str, Any], *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json(moved)
    else:
        print_moved(moved, dry_run=dry_run)
