"""`signoff reviews`: what waits for a person, and the decision."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from signoff.cli.options import JsonOption, KeyOption, ListGroup, ProjectOption, UrlOption, examples, server_named
from signoff.cli.output import print_json

if TYPE_CHECKING:
    from signoff.cli.client import ApiClient

app = typer.Typer(
    cls=ListGroup,
    help="Reviews: list, show, approve, reject. Without a command: list what is open.",
    rich_markup_mode=None,
)

ReviewId = Annotated[UUID, typer.Argument(help="The review's id.")]
DigestOption = Annotated[
    str | None,
    typer.Option("--digest", help="Decide only if the review still presents this; what it presents now otherwise."),
]


@app.command("list", epilog=examples("signoff reviews list", "signoff reviews list --role support-lead --json"))
def list_(
    *,
    status: Annotated[
        str, typer.Option("--status", "-s", help="open, approved, rejected, expired, withdrawn, or all.")
    ] = "open",
    role: Annotated[str | None, typer.Option("--role", help="Only what holders of this role may decide.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, by expiry.")] = 20,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List reviews: what expires first, then what has waited longest. With --json: one object per line."""
    with server_named(url, key, project) as client:
        found = client.pages("/v1/reviews", most=limit, status=None if status == "all" else status, role=role)
        if as_json:
            for item in found:
                print(json.dumps(item))
            return
        from signoff.cli.review_views import print_reviews

        print_reviews(list(found))


@app.command(epilog=examples("signoff reviews show 5d0c…"))
def show(
    review_id: ReviewId,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a review: what is proposed, the evidence, who may decide, until when."""
    with server_named(url, key, project) as client:
        found = client.get(f"/v1/reviews/{review_id}")
    _show(found, as_json)


@app.command(
    epilog=examples(
        "signoff reviews approve 5d0c…", "signoff reviews approve 5d0c… --set cents=4200 --reason 'second item only'"
    )
)
def approve(
    review_id: ReviewId,
    *,
    edits: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: change an editable value; VALUE is JSON or text.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Why.")] = None,
    comment: Annotated[str | None, typer.Option("--comment", help="Anything else, for the record.")] = None,
    digest: DigestOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve a review as it stands, or with edits of its editable values."""
    body: dict[str, Any] = {"decision": "approve", "values": _edits(edits or []), "reason": reason, "comment": comment}
    with server_named(url, key, project) as client:
        _decide(client, review_id, body, digest, as_json)


@app.command(epilog=examples("signoff reviews reject 5d0c… --reason 'not our order'"))
def reject(
    review_id: ReviewId,
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; the run's outcome tells it.")],
    comment: Annotated[str | None, typer.Option("--comment", help="Anything else, for the record.")] = None,
    digest: DigestOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reject a review, with a reason."""
    body: dict[str, Any] = {"decision": "reject", "reason": reason, "comment": comment}
    with server_named(url, key, project) as client:
        _decide(client, review_id, body, digest, as_json)


def _decide(client: ApiClient, review_id: UUID, body: dict[str, Any], digest: str | None, as_json: bool) -> None:
    if digest is None:
        digest = client.get(f"/v1/reviews/{review_id}")["digest"]
    found = client.post(f"/v1/reviews/{review_id}/decision", {**body, "digest": digest})
    if as_json:
        print_json(found)
        return
    from signoff.cli.review_views import print_decision

    print_decision(found)


def _edits(pairs: list[str]) -> dict[str, Any]:
    """`cents=4200` is a number, `name=Ana` a text; quote as JSON where it matters: `code="4200"`."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"'{pair}' is not NAME=VALUE.", param_hint="--set")
        try:
            values[name] = json.loads(text)
        except (ValueError, RecursionError):
            values[name] = text
    return values


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from signoff.cli.review_views import print_review

    print_review(found)
