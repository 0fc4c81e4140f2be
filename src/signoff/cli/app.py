"""Every command of `signoff`. Each imports what it needs when it is called, so that help comes at once."""

from __future__ import annotations

import typer

from signoff.cli import (
    artifacts,
    authoring,
    breakers,
    check,
    confidence,
    delivering,
    dev,
    diagram,
    doctor,
    flow,
    keys,
    model_calls,
    models,
    outcomes,
    projects,
    prompt_labels,
    prompts,
    queues,
    retention,
    reviews,
    runs,
    runs_history,
    runs_moving,
    runs_operations,
    schedules,
    serving,
)
from signoff.cli.output import EXIT_CODES

app = typer.Typer(
    name="signoff",
    help="An AI orchestration layer for business workflows: durable, governed, reviewed and provable.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"signoff {version('signoff')}")
        raise typer.Exit


@app.callback()
def signoff(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """An AI orchestration layer for business workflows: durable, governed, reviewed and provable."""


app.command("init", short_help="Make a small complete project.", epilog=projects.INIT_EXAMPLES)(projects.init)
app.command("check", short_help="Find everything that is wrong with a project.", epilog=check.CHECK_EXAMPLES)(
    check.check
)
app.command("fmt", short_help="Lay out a project's files.", epilog=authoring.FMT_EXAMPLES)(authoring.fmt)
app.command("schema", short_help="The language, for editors.", epilog=authoring.SCHEMA_EXAMPLES)(authoring.schema)
app.command("diagram", short_help="Draw a workflow.", epilog=diagram.DIAGRAM_EXAMPLES)(diagram.diagram)
app.command("dev", short_help="Run a project on this machine, all in one process.", epilog=dev.DEV_EXAMPLES)(dev.dev)
app.command("run", short_help="Start a run of a workflow.", epilog=runs.RUN_EXAMPLES)(runs.run)
RUNS = (runs, runs_history, runs_moving, runs_operations)  # each has put its commands into one app
app.add_typer(RUNS[0].app, name="runs")
app.add_typer(reviews.app, name="reviews")
app.add_typer(schedules.app, name="schedules")
app.add_typer(queues.app, name="queues")
app.command("plan", short_help="What deploying would change.", epilog=delivering.PLAN_EXAMPLES)(delivering.plan)
app.command("release", short_help="Keep a project as a release.", epilog=delivering.RELEASE_EXAMPLES)(
    delivering.release
)
app.command("deploy", short_help="Point an environment at a release.", epilog=delivering.DEPLOY_EXAMPLES)(
    delivering.deploy
)
app.command("rollback", short_help="Return an environment to what it had.", epilog=delivering.ROLLBACK_EXAMPLES)(
    delivering.rollback
)
app.command("history", short_help="Every move of an environment.", epilog=delivering.HISTORY_EXAMPLES)(
    delivering.history
)
app.add_typer(delivering.releases_app, name="releases")
PROMPTS = (prompts, prompt_labels)  # likewise
app.add_typer(PROMPTS[0].app, name="prompts")
app.command("outcomes", short_help="What runs came to, counted.", epilog=outcomes.OUTCOMES_EXAMPLES)(outcomes.outcomes)
app.add_typer(confidence.app, name="confidence")
app.command("serve", short_help="Run the API alone.", epilog=serving.SERVE_EXAMPLES)(serving.serve)
app.command("worker", short_help="Run a worker alone.", epilog=serving.WORKER_EXAMPLES)(serving.worker)
app.command("breakers", short_help="Which tools and models are left alone.", epilog=breakers.BREAKERS_EXAMPLES)(
    breakers.breakers
)
app.command("calls", short_help="What models were asked.", epilog=model_calls.CALLS_EXAMPLES)(model_calls.calls)
app.command("costs", short_help="What models cost.", epilog=model_calls.COSTS_EXAMPLES)(model_calls.costs)
app.command("limits", short_help="What is used of quotas and budgets.", epilog=model_calls.LIMITS_EXAMPLES)(
    model_calls.limits
)
app.add_typer(artifacts.app, name="artifacts")
app.add_typer(retention.app, name="retention")
app.command(
    "doctor", short_help="Find out what is wrong with the database or the work.", epilog=doctor.DOCTOR_EXAMPLES
)(doctor.doctor)
app.add_typer(flow.app, name="explain")
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")


def run(name: str) -> None:
    """Run what the command line says.

    Args:
        name: the command's. The others are left out: reading what they all take is 90 ms of every command.
    """
    commands = [one for one in app.registered_commands if one.name == name]
    groups = [one for one in app.registered_groups if one.name == name]
    if commands or groups:
        app.registered_commands, app.registered_groups = commands, groups
    app()
