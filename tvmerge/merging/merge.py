"""An opened merge: its merger, its sources and remarks on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.contents import left_out
from tvmerge.merging.checkpoints.sources import Source
from tvmerge.merging.layer_parts import layer_parts
from tvmerge.merging.merger import RecipeMerger
from tvmerge.merging.remarks import Remark, on_tensors
from tvmerge.merging.request import MergeRequest
from tvmerge.records import Recipe


def is_target(part: str) -> bool:
    """Return whether a part of a merge is a target: `target`, `target.0`, ..."""
    return "/" not in part and part.partition(".")[0] == "target"


@dataclass(frozen=True, slots=True)
class Expert:
    """An expert of a mixture, as a dense model.

    Attributes:
        target: The model that gives configuration and tokenizer.
        merger: Makes its tensors from the mixture's weights.
    """

    target: Checkpoint
    merger: RecipeMerger

    def recipe(self, mixture: Recipe) -> Recipe:
        """Return its recipe, a part of that of the mixture."""
        return Recipe({name: mixture.weights[name] for name in self.merger.group_names})


@dataclass(frozen=True, slots=True)
class Merge:
    """A merger together with its sources, plan and remarks.

    Attributes:
        request: The request.
        merger: Makes the tensors of a recipe.
        sources: The models by their part in the merge (`target`, `base`, `tuned`, ...).
        donor: The model that gives tokenizer and chat template, and the configuration of a dense merge.
        noted: Remarks found when the models were opened.
        config: Content of `config.json` if it is not the donor's, as for a mixture; else None.
        experts: Its experts as dense models.
    """

    request: MergeRequest
    merger: RecipeMerger
    sources: Mapping[str, Source]
    donor: Checkpoint
    noted: tuple[Remark, ...] = ()
    config: Mapping[str, Any] | None = None
    experts: tuple[Expert, ...] = ()

    @property
    def group_names(self) -> Sequence[str]:
        """Names of the weights in a recipe."""
        return self.merger.group_names

    @property
    def layer_parts(self) -> Mapping[str, str]:
        """By the names of weights, the part of a layer that all their tensors are in; see `layer_parts`."""
        return layer_parts(self.merger.plan.rows)

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Digests of everything but the recipe that decides the merged tensors."""
        return self.merger.fingerprint

    @property
    def target(self) -> Source:
        """The model that gives tokenizer and chat template."""
        return next(source for source in self.sources.values() if source.folder == self.donor.folder)

    @property
    def resolved(self) -> MergeRequest:
        """The request with each model's commit or absolute folder, which stays valid elsewhere and later."""
        return self._renamed({part: source.reference for part, source in self.sources.items()})

    @property
    def portable(self) -> MergeRequest:
        """The request without paths of this machine: hub ids with commits, folders as `./NAME`."""
        return self._renamed({part: source.portable for part, source in self.sources.items()})

    def _renamed(self, places: Mapping[str, str]) -> MergeRequest:
        request = self.request
        targets = [place for part, place in places.items() if is_target(part)]
        vectors = []
        for vector in request.vectors:
            prefix = "" if len(request.vectors) == 1 else f"{vector.name}/"
            vectors.append(replace(vector, tuned=places[f"{prefix}tuned"], base=places[f"{prefix}base"]))
        mixture = replace(request.mixture, base=places.get("moe_base"))
        return replace(request, targets=tuple(targets), vectors=tuple(vectors), mixture=mixture)

    @property
    def identities(self) -> dict[str, str]:
        """The name of each model, without local paths."""
        return {part: source.identity for part, source in self.sources.items()}

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the models are."""
        return tuple(dict.fromkeys(source.folder for source in self.sources.values()))

    def ranges(self, low: float, high: float) -> dict[str, tuple[float, float]]:
        """Return the bounds of each weight.

        Args:
            low: Smallest weight of vectors without bounds.
            high: Largest weight of vectors without bounds.
        """
        bounds: dict[str, tuple[float, float]] = {}
        for vector in self.request.vectors:
            mine = (
                low if vector.weight_min is None else vector.weight_min,
                high if vector.weight_max is None else vector.weight_max,
            )
            for name in self.group_names:
                inner = name.split("/", 1)[1] if self.experts else name
                if len(self.request.vectors) == 1 or inner.startswith(f"{vector.name}/"):
                    is_density = inner.split("/")[-1] == "density"
                    searched = vector.density if is_density else mine
                    bounds[name] = searched if isinstance(searched, tuple) else mine
        return bounds

    def nbytes(self, *, experts: bool) -> int:
        """Bytes of the tensors that are written, those of its experts included if they are written too."""
        mergers = [self.merger, *(expert.merger for expert in self.experts if experts)]
        return sum(spec.nbytes for merger in mergers for spec in merger.specs.values())

    @property
    def sparse(self) -> str:
        """How its vectors are made sparse, at the largest searched density; empty if they are not."""
        ways = {
            vector.name: vector.sparse(alone=len(self.request.vectors) == 1)
            for vector in self.request.vectors
        }
        if len(set(ways.values())) == 1:
            return next(iter(ways.values()))
        return "; ".join(f"{name}: {way or 'plain'}" for name, way in ways.items())

    def remarks(self) -> tuple[Remark, ...]:
        """Return all remarks: on models, on tensors without a weight and on files not copied."""
        donor = self.donor
        behind = left_out(donor.folder, donor.files, code=donor.trust_remote_code)
        files = [Remark(f"not copied from {donor.name}", tuple(names), why) for why, names in behind.items()]
        return (*self.noted, *on_tensors(self.merger.plan), *files)

    def provenance(self, recipe: Recipe) -> dict[str, object]:
        """Return how a merged model was made and from which sources, as JSON data without local paths."""
        return {
            "formula": "target + weight * (tuned - base)",
            **self.identities,
            "weights": dict(recipe.weights),
            "fingerprint": dict(self.fingerprint),
        }
