"""The verb `retrieve`: passages of the release's own documents, with places to cite."""

from __future__ import annotations

from collections.abc import Sequence

from signoff.capabilities.retrieval import Hit, read_index, search
from signoff.core.errors import InvalidError, LimitError, NotFoundError, StepError
from signoff.core.labels import Labels, Trust
from signoff.governance.policy import retrieve_request
from signoff.runtime.handlers import Done, StepCall
from signoff.steps.embedding import GatewayEmbedder
from signoff.steps.limited import LimitedStep
from signoff.steps.services import Services, project_of, release_of, required


class RetrieveStep(LimitedStep):
    """Searches an index as the run may."""

    verb = "retrieve"

    def __init__(self, services: Services) -> None:
        self._services = services

    async def permit(self, call: StepCall) -> None:
        """Policy's answer to `retrieve`.

        Raises:
            StepError: kind `forbidden`.
        """
        authority = await self._services.authority(call)
        environment = self._services.environment
        request = retrieve_request(call.run, index=call.step.target, labels=call.labels, environment=environment)
        required(call, authority, request)

    async def act(self, call: StepCall, *, over_limit: bool) -> Done:
        """The best passages: `{hits: [{chunk_id, path, heading, text, start, end, score}]}`."""
        project, query = project_of(call), str(call.arguments["query"])
        org_id, release = call.run.org_id, release_of(call).digest
        try:
            async with self._services.database.transaction(org_id) as connection:
                facts = await read_index(connection, org_id, release=release, name=call.step.target)
            vector: Sequence[float] | None = None
            if facts.embedder is not None:
                embedder = GatewayEmbedder(
                    self._services.gateway,
                    project.models,
                    call=call,
                    services=self._services,
                    over_limit=over_limit,
                )
                vector = await embedder.embed_query(query, facts.embedder)
            async with self._services.database.transaction(org_id) as connection:
                hits = await search(
                    connection,
                    org_id,
                    release=release,
                    name=call.step.target,
                    query=query,
                    query_vector=vector,
                    top=call.step.settings.get("top", 5),
                )
        except (InvalidError, LimitError, NotFoundError) as error:
            raise StepError(error.detail, kind="retrieval", problems=error.problems) from error
        settings = project.index_settings.get(call.step.target)
        trusted = settings is not None and settings.trusted
        labels = Labels(
            trust=Trust.TRUSTED if trusted else Trust.UNTRUSTED, sources=frozenset({f"index:{call.step.target}"})
        )
        return Done({"hits": [_hit(hit) for hit in hits]}, labels)


def _hit(hit: Hit) -> dict[str, object]:
    return {
        "chunk_id": hit.chunk_id,
        "path": hit.path,
        "heading": list(hit.heading),
        "text": hit.text,
        "start": hit.start,
        "end": hit.end,
        "score": hit.score,
    }
