"""A merge that is ready: what it is called, and what people should know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.contents import left_out
from tvmerge.merging.checkpoints.sources import Source
from tvmerge.merging.merger import RecipeMerger
from tvmerge.merging.remarks import Remark, on_tensors
from tvmerge.merging.request import MergeRequest
from tvmerge.records import Recipe


def is_target(part: str) -> bool:
    """Whether a part in a merge is a target's: `target`, `target.0`, ..."""
    return "/" not in part and part.partition(".")[0] == "target"


@dataclass(frozen=True, slots=True)
class Expert:
    """One expert of a mixture as a dense model.

    Attributes:
        target: Gives configuration and tokenizer.
        merger: Makes its tensors, from the weights that the mixture has for each part.
    """

    target: Checkpoint
    merger: RecipeMerger

    def recipe(self, mixture: Recipe) -> Recipe:
        """Its weights, of those of the mixture."""
        return Recipe({name: mixture.weights[name] for name in self.merger.group_names})


@dataclass(frozen=True, slots=True)
class Merge:
    """A merger together with its sources, plan and remarks.

    Attributes:
        request: What was asked for.
        merger: Makes the tensors of a recipe.
        sources: Part in the merge (`target`, `base`, `tuned`, ...) -> the model that plays it.
        donor: The model that gives tokenizer and chat template, and of a dense merge the configuration.
        noted: What else people should know, found as the models were opened.
        config: Content of `config.json` where it is not the donor's, as of a mixture; None where it is.
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
        """Names of the weights a recipe has."""
        return self.merger.group_names

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Digests of everything but the recipe that decides the merged tensors."""
        return self.merger.fingerprint

    @property
    def target(self) -> Source:
        """The model whose folder has tokenizer and chat template."""
        return next(source for source in self.sources.values() if source.folder == self.donor.folder)

    @property
    def resolved(self) -> MergeRequest:
        """The request with each model's commit or absolute folder: it means the same anywhere, and later."""
        return self._renamed({part: source.reference for part, source in self.sources.items()})

    @property
    def portable(self) -> MergeRequest:
        """The request without this machine's paths: hub ids with commits, folders as `./` and their names."""
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
        """Between which bounds each weight is searched.

        Args:
            low: Smallest weight of vectors that do not say.
            high: Largest weight of vectors that do not say.
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

    @property
    def sparse(self) -> str:
        """How its vectors are made sparse at weight 1; empty where they are added as they are.

        A density that is searched is at its largest then.
        """
        ways = {
            vector.name: vector.sparse(alone=len(self.request.vectors) == 1)
            for vector in self.request.vectors
        }
        if len(set(ways.values())) == 1:
            return next(iter(ways.values()))
        return "; ".join(f"{name}: {way or 'plain'}" for name, way in ways.items())

    def remarks(self) -> tuple[Remark, ...]:
        """What people should know of it: what was found, tensors left alone, and files left behind."""
        donor = self.donor
        behind = left_out(donor.folder, donor.files, code=donor.trust_remote_code)
        files = [Remark(f"not copied from {donor.name}", tuple(names), why) for why, names in behind.items()]
        return (*self.noted, *on_tensors(self.merger.plan), *files)

    def provenance(self, recipe: Recipe) -> dict[str, object]:
        """What a merged model was made from and how, as plain JSON data without local paths."""
        return {
            "formula": "target + weight * (tuned - base)",
            **self.identities,
            "weights": dict(recipe.weights),
            "fingerprint": dict(self.fingerprint),
        }
