"""`signoff prompts`: the registry's versions, and the project's own prompts linted, tested, imported and exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.cli.options import JsonOption, KeyOption, ProfileOption, ProjectOption, UrlOption, examples
from signoff.cli.output import EXIT_FAILURE, console, plain, print_json, tell
from signoff.cli.prompt_views import print_cases, print_difference, print_prompts, print_version

if TYPE_CHECKING:
    from signoff.catalog import Project, Prompt
    from signoff.catalog.registry.exchange import Form
    from signoff.cli.delivery_protocol import Deliverer

app = typer.Typer(
    help="Prompts: versions, differences, scores, lint, tests, exchange.", no_args_is_help=True, rich_markup_mode=None
)

NameArgument = Annotated[str, typer.Argument(help="The prompt's name, such as classify.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")]
FormOption = Annotated[str, typer.Option("--form", "-f", help="The other registry: langfuse or langsmith.")]


@app.command("list", epilog=examples("signoff prompts list", "signoff prompts list --json"))
def list_prompts(
    *,
    limit: LimitOption = 200,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the latest released version of each prompt, with its scores."""
    from signoff.cli.deliverers import deliverer
    from signoff.cli.workspace import project_name

    found = deliverer(project, url, key).prompts(project_name(project), limit)
    if as_json:
        for prompt in found:
            print_json(prompt)
    else:
        print_prompts(found)


@app.command(epilog=examples("signoff prompts show classify", "signoff prompts show classify production --json"))
def show(
    name: NameArgument,
    version: Annotated[str | None, typer.Argument(help="A released version, or a label; the latest otherwise.")] = None,
    *,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a released version: owners, changes, labels, environments, scores against thresholds, and its file."""
    from signoff.cli.deliverers import deliverer, version_of
    from signoff.cli.workspace import project_name

    through, named = deliverer(project, url, key), project_name(project)
    chosen = version_of(through, named, name, version) if version else _latest(through, named, name)
    found = through.prompt_source(named, name, chosen)
    if as_json:
        print_json(found)
    else:
        print_version(found)


@app.command(epilog=examples("signoff prompts history classify"))
def history(
    name: NameArgument,
    *,
    limit: LimitOption = 50,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the changelog of a prompt: every released version, what changed, why, and its scores."""
    from signoff.cli.deliverers import deliverer
    from signoff.cli.workspace import project_name

    found = deliverer(project, url, key).prompt_versions(project_name(project), name, limit)
    if as_json:
        for version in found:
            print_json(version)
    else:
        print_prompts(found, changes=True)


@app.command(epilog=examples("signoff prompts diff classify 3.0.0 3.1.0", "signoff prompts diff classify production"))
def diff(
    name: NameArgument,
    before: Annotated[str, typer.Argument(metavar="A", help="A released version, or a label.")],
    after: Annotated[str | None, typer.Argument(metavar="B", help="Another one; the project's file otherwise.")] = None,
    *,
    context: Annotated[int, typer.Option("--context", "-U", min=0, help="Equal lines around a change.")] = 3,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show two versions side by side: what their contracts differ in, which version that demands, and the lines."""
    from signoff.catalog.registry.differences import contract_changes, side_by_side
    from signoff.cli.deliverers import deliverer, version_of
    from signoff.cli.workspace import project_name

    through, named = deliverer(project, url, key), project_name(project)
    before = version_of(through, named, name, before)
    after = None if after is None else version_of(through, named, name, after)
    old = through.prompt_source(named, name, before)["source"]
    if after is None:
        loaded = _project(project)
        new = loaded.files[loaded.prompts.find(name).file].decode("utf-8-sig")
    else:
        new = through.prompt_source(named, name, after)["source"]
    changes, bump = contract_changes(f"prompts/{name}.md", old, new)
    pairs = side_by_side(old, new)
    if as_json:
        lines = [pair.as_dict() for pair in pairs]
        found = {"prompt": name, "before": before, "after": after, "bump": bump, "lines": lines}
        print_json({**found, "changes": [change.as_dict() for change in changes]})
    else:
        print_difference(
            f"{name}@{before}", f"{name}@{after or 'file'}", changes=changes, bump=bump, pairs=pairs, context=context
        )


@app.command("lint", epilog=examples("signoff prompts lint", "signoff prompts lint classify --ignore P009"))
def lint_prompts(
    name: Annotated[str | None, typer.Argument(help="One prompt; all otherwise.")] = None,
    *,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="An id to leave out; may be repeated.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find known mistakes in the project's prompts. Each has an id, explained in docs/reference/prompts.md."""
    from signoff.catalog.registry.lint import lint

    loaded = _project(project)
    problems = [
        problem
        for prompt in _chosen(loaded, name)
        for problem in lint(prompt, loaded.files[prompt.file].decode("utf-8-sig"))
        if problem.code not in (ignore or ())
    ]
    if as_json:
        print_json([problem.as_dict() for problem in problems])
    else:
        for problem in problems:
            console().print(plain(f"{problem.code} {problem}"), soft_wrap=True)
        tell(f"{len(problems)} known mistakes.")
    if problems:
        raise typer.Exit(EXIT_FAILURE)


@app.command("test", epilog=examples("signoff prompts test", "signoff prompts test classify --record"))
def run_tests(
    name: Annotated[str | None, typer.Argument(help="One prompt; all that have tests otherwise.")] = None,
    *,
    scripted: Annotated[
        bool, typer.Option("--scripted", help="Let each case's own 'answer' answer, without any model.")
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the share of cases that passed as a score of the released version.")
    ] = False,
    metric: Annotated[str, typer.Option("--metric", help="What --record calls that score.")] = "accuracy",
    models: ProfileOption = None,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the prompts' own test cases on the models of their routes, or on the answers that the cases give.

    With --record a score (data set 'tests') is kept beside each version, and thresholds are held against it.
    """
    import asyncio

    from signoff.cli.deliverers import deliverer
    from signoff.cli.prompt_recording import keep_scores, require_released
    from signoff.cli.prompt_testing import run_cases

    if record and scripted:
        raise typer.BadParameter("what a script says is no quality; leave out --scripted", param_hint="--record")

    loaded = _project(project)
    prompts = [prompt for prompt in _chosen(loaded, name) if prompt.tests]
    through = deliverer(project, url, key) if record else None
    if through is not None:
        require_released(through, loaded, prompts)
    results = asyncio.run(run_cases(loaded, prompts, profile=models, scripted=scripted))
    if as_json:
        print_json([result.as_dict() for result in results])
    else:
        print_cases(results)
    if through is not None:
        keep_scores(through, loaded, prompts, results, metric=metric)
    if any(not result.passed for result in results):
        raise typer.Exit(EXIT_FAILURE)


@app.command(
    "import",
    epilog=examples(
        "signoff prompts import prompt.json --form langfuse", "signoff prompts import repos.json --form langsmith"
    ),
)
def import_file(
    source: Annotated[Path, typer.Argument(help="The JSON that the other registry gives of a prompt, or of many.")],
    form: FormOption,
    name: Annotated[str | None, typer.Option("--name", help="Another name, for a file with one prompt.")] = None,
    *,
    project: ProjectOption = None,
) -> None:
    """Write prompts of Langfuse or LangSmith as files of the project. Nothing is overwritten.

    A file may hold one prompt, a list of them, or answers of the registry's API. Exits with 1 where one of several
    cannot be taken over; the others are written.
    """
    from signoff.catalog.registry.collecting import MAX_FILE_BYTES, collect
    from signoff.cli.workspace import project_directory
    from signoff.core.errors import ConflictError, InvalidError, LimitError

    prompts = project_directory(project) / "prompts"
    try:
        if source.stat().st_size > MAX_FILE_BYTES:
            raise LimitError(f"{source} is larger than {MAX_FILE_BYTES} bytes.")
        text = source.read_bytes()
    except OSError as error:
        raise InvalidError(f"{source} cannot be read: {error}.") from error
    found = collect(text, _form(form), name=name)
    refused = [f"{one.name}: {one.why}" for one in found.refused]
    for one in found.imported:
        path = prompts / f"{one.name}.md"
        try:
            _write_new(path, one.text)
        except (ConflictError, InvalidError) as error:
            if len(found.imported) + len(found.refused) == 1:
                raise
            refused.append(f"{one.name[:80]}: {error.detail}")
            continue
        print(f"Wrote {path}.")
        for note in one.notes:
            tell(f"note: {note}")
    for line in refused:
        tell(f"not taken over: {line}")
    if refused:
        raise typer.Exit(EXIT_FAILURE)


@app.command("export", epilog=examples("signoff prompts export classify --form langsmith > classify.json"))
def export_file(name: NameArgument, form: FormOption, *, project: ProjectOption = None) -> None:
    """Print a prompt of the project as JSON for Langfuse or LangSmith."""
    from signoff.catalog.registry.exchange import export_prompt

    loaded = _project(project)
    prompt = loaded.prompts.find(name)
    print_json(export_prompt(prompt, loaded.files[prompt.file].decode("utf-8-sig"), _form(form)))


@app.command(
    epilog=examples("signoff prompts score classify 3.0.0 accuracy 0.93 --cases 200 --dataset b77 --model local/minilm")
)
def score(
    name: NameArgument,
    version: Annotated[str, typer.Argument(help="A released version.")],
    metric: Annotated[str, typer.Argument(help="What was measured, such as accuracy.")],
    value: Annotated[float, typer.Argument(help="What it was.")],
    *,
    cases: Annotated[int, typer.Option("--cases", min=1, help="On how many cases.")],
    dataset: Annotated[str, typer.Option("--dataset", help="On which data.")],
    model: Annotated[str, typer.Option("--model", help="Which model answered.")],
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="The same key keeps one score.")
    ] = None,
    project: ProjectOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep a measurement beside a released version; it is shown against the version's threshold."""
    from signoff.cli.deliverers import deliverer
    from signoff.cli.workspace import project_name

    given: dict[str, Any] = {"metric": metric, "value": value, "n": cases, "dataset": dataset, "model": model}
    kept = deliverer(project, url, key).add_score(project_name(project), name, version, given, idempotency_key)
    if as_json:
        print_json(kept)
    else:
        met = {True: "reaches its threshold", False: "misses its threshold", None: "no threshold"}[kept["met"]]
        print(f"Kept {metric} {value:g} of {name}@{version} ({met}).")


def _write_new(path: Path, text: str) -> None:
    from signoff.core.errors import ConflictError, InvalidError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConflictError(f"{path} is there already. Name another with --name.") from error
    except OSError as error:
        raise InvalidError(f"{path.name[:80]} cannot be written: {error.strerror}.") from error


def _latest(through: Deliverer, project: str, name: str) -> str:
    return str(through.prompt_versions(project, name, 1)[0]["version"])


def _form(text: str) -> Form:
    if text not in ("langfuse", "langsmith"):
        raise typer.BadParameter("write langfuse or langsmith", param_hint="--form")
    return text


def _chosen(project: Project, name: str | None) -> list[Prompt]:
    return sorted(project.prompts, key=lambda prompt: prompt.name) if name is None else [project.prompts.find(name)]


def _project(directory: Path | None) -> Project:
    from signoff.catalog import load_project
    from signoff.cli.workspace import project_directory

    return load_project(project_directory(directory))
