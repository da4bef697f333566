"""The opened models of a request; each folder is opened once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tvmerge.merging.additions import OpenVector
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.digests import DigestCache
from tvmerge.merging.checkpoints.lora.adapter import Adapter
from tvmerge.merging.checkpoints.sources import Source
from tvmerge.merging.checkpoints.ties import diverging_ties
from tvmerge.merging.checkpoints.untied import tied_head
from tvmerge.merging.request import MergeRequest, TaskVector


def part_of(request: MergeRequest, vector: TaskVector, role: str) -> str:
    """Return the part in the merge of a vector's model."""
    return role if len(request.vectors) == 1 else f"{vector.name}/{role}"


class OpenedSources:
    """The opened models of a request; each folder is opened once.

    Attributes:
        parts: The models by their part in the merge.
        vectors: The task vectors.
        remarks: Remarks on the models.
    """

    def __init__(
        self,
        request: MergeRequest,
        sources: Mapping[str, Source],
        digest_cache: DigestCache | None,
        remarks: tuple[str, ...],
    ) -> None:
        self._request, self._sources, self._digest_cache = request, sources, digest_cache
        known: dict[Path, Checkpoint] = {}
        self.parts: dict[str, Checkpoint | Adapter] = {}
        for part, source in sources.items():
            if not source.is_adapter:
                if source.folder not in known:
                    known[source.folder] = self._open(source)
                self.parts[part] = known[source.folder]
        self.vectors = [self._vector(vector, sources) for vector in request.vectors]
        self.remarks = remarks

    @property
    def whole(self) -> list[Checkpoint]:
        """The models without adapters, each once."""
        models = {id(m): m for m in self.parts.values() if isinstance(m, Checkpoint)}
        return list(models.values())

    def model(self, part: str) -> Checkpoint:
        """Return the model of a part, which must not be an adapter."""
        model = self.parts[part]
        assert isinstance(model, Checkpoint)
        return model

    def untie_where_needed(self, parts: Sequence[str]) -> list[str]:
        """Untie the heads of models whose merge must have a separate head.

        That is the case if a vector changes head and embeddings differently, or if some models of a mixture
        are tied and others are not.

        Args:
            parts: The parts of the models to which the vectors are added.

        Returns:
            Names of the tuned models that require it.
        """
        policy = self._request.vocabulary
        models = {part: self.model(part) for part in parts}
        tied = [part for part, model in models.items() if tied_head(model.structure) is not None]
        apart = dict.fromkeys(n for part in tied for n in diverging_ties(models[part], self.vectors, policy))
        if apart or 0 < len(tied) < len(parts):
            for part in tied:
                self.parts[part] = self._open(self._sources[part], untie=True)
        return list(apart)

    def _open(self, source: Source, *, untie: bool = False) -> Checkpoint:
        return Checkpoint(
            source.folder,
            name=source.name,
            untie=untie,
            allow_pickle=self._request.allow_pickle,
            trust_remote_code=self._request.trust_remote_code,
            digest_cache=self._digest_cache,
        )

    def _vector(self, vector: TaskVector, sources: Mapping[str, Source]) -> OpenVector:
        base = self.model(part_of(self._request, vector, "base"))
        part = part_of(self._request, vector, "tuned")
        if part not in self.parts:
            self.parts[part] = Adapter(
                sources[part].folder,
                base,
                sources[part].name,
                allow_pickle=self._request.allow_pickle,
                digest_cache=self._digest_cache,
            )
        return OpenVector(vector, base, self.parts[part])
