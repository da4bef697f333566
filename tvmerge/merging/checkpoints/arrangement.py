"""The places of a model's tensors, and the mapping of a checkpoint's names to them.

A language model may be a separate model or part of a multimodal one. Such models are compared by the tensors'
names within the language model (`Structure.key`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.merging.checkpoints.naming import nested_elsewhere, without_leftovers

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.configurations import Settings
    from tvmerge.merging.checkpoints.naming import Renaming
    from tvmerge.merging.checkpoints.sections import Section


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a tensor in the model.

    Attributes:
        section: Before, in or after the decoder layers, the head, or outside the language model.
        layer: Index of its layer; None outside the layers.
        shape: The shape required by the configuration.
        is_float: Whether it is a float tensor in the model.
        by_token: Whether it has one row per token, like the input embeddings and the head.
    """

    section: Section
    layer: int | None
    shape: tuple[int, ...]
    is_float: bool
    by_token: bool = False


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A checkpoint's names, mapped to those of its model.

    Attributes:
        names: The checkpoint's name of each tensor by the model's name, in model order. A tied head is not a
            separate tensor and is not included.
        tied: The checkpoint's name of each tied tensor, by the model's further names of it.
        missing: Tensors of the model that the checkpoint lacks.
        extra: Tensors of the checkpoint that the model does not use (rotary tables, attention masks, ...).
        duplicates: The checkpoint's name of a tied tensor, by its name of the second copy.
    """

    names: Mapping[str, str]
    tied: Mapping[str, str]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    duplicates: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Structure:
    """A model's tensors and their places.

    Attributes:
        name: The model's name in messages.
        architecture: Name of the model class.
        model_type: transformers' name of the family.
        text_type: transformers' name of the decoder's family, which for a text model is `model_type`.
        stands_alone: Whether transformers has a model class for such a decoder alone.
        layers: Number of decoder layers.
        vocabulary: Number of rows of the embeddings.
        prefix: The name of the module below the head, which checkpoints may omit (`model`).
        decoder: Prefix of the names of the decoder's tensors (`model.language_model.`).
        blocks: Prefix of the names of its layers' tensors, before the index.
        head: Prefix of the names of the head's tensors; None without a head.
        layouts: The possible splits of its tensors in checkpoints, each in model order, under the names after
            transformers' renaming.
        aliases: First names of tied tensors, by their further names.
        settings: The language model's configuration; see `configurations.settings_of`.
        renaming: How transformers renames a checkpoint's tensors.
    """

    name: str
    architecture: str
    model_type: str
    text_type: str
    stands_alone: bool
    layers: int
    vocabulary: int
    prefix: str
    decoder: str
    blocks: str
    head: str | None
    layouts: tuple[Mapping[str, Place], ...]
    aliases: Mapping[str, str]
    settings: Settings
    renaming: Renaming

    def place(self, name: str) -> Place | None:
        """Return the place of a tensor by the model's name of it, or of a tied tensor by any name."""
        name = self.aliases.get(name, name)
        return next((layout[name] for layout in self.layouts if name in layout), None)

    def place_is_head(self, own: str) -> bool:
        """Return whether a tensor belongs to the head, by the model's name of it."""
        return self.head is not None and own.startswith(self.head)

    def key(self, own: str) -> str | None:
        """Return a tensor's name within the language model; None outside of it.

        Args:
            own: The model's name of it.
        """
        if self.head is not None and self.place_is_head(own):
            return f"{self.head.split('.')[-2]}.{own.removeprefix(self.head)}"
        return own.removeprefix(self.decoder) if own.startswith(self.decoder) else None

    def own_names(self, names: Iterable[str]) -> dict[str, str]:
        """Return the model's names by the checkpoint's, of tensors that the model has in any layout."""
        known = self.aliases.keys() | {own for layout in self.layouts for own in layout}
        renaming, found = self.renaming.fresh(), {}
        for name in sorted(names):
            own = next((own for own in renaming.candidates(name) if own in known), None)
            if own is not None:
                found[name] = own
        return found

    def plain_names(self, names: Iterable[str]) -> dict[str, str]:
        """Return names that transformers understands, by the checkpoint's names.

        Tensors whose names have prefixes of training tools get the model's names, as do those of a language
        model at another path than in the configuration. Other names are unchanged.
        """
        names = list(names)
        plain = without_leftovers(names, self.own_names)
        known = self.own_names(plain.values())
        moved = known if list(plain.values()) != names else {}
        if self.arrange(plain.values()).missing:
            moved = moved | self.elsewhere(plain.values(), known)
        return {name: moved.get(short, short) for name, short in plain.items()}

    def elsewhere(self, names: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
        """Return the model's names of a language model at another path, by the checkpoint's names.

        Args:
            names: All names.
            known: The names that `own_names` maps.
        """
        everything = {key: own for layout in self.layouts for own in layout if (key := self.key(own))}
        heads = {key: own for key, own in everything.items() if self.place_is_head(own)}
        decoder = {key: own for key, own in everything.items() if key not in heads}
        left, found = [name for name in names if name not in known], set(known.values())
        return {**nested_elsewhere(left, decoder, found), **nested_elsewhere(left, heads, found)}

    def arrange(self, names: Iterable[str]) -> Arrangement:
        """Map a checkpoint's names to the model's, using the layout that fits best."""
        names = list(names)
        own_names = self.own_names(names)
        found: dict[str, str] = {}
        for name in names:
            if name in own_names:
                found.setdefault(own_names[name], name)
        sorted_in = (self._arrange(layout, names, found) for layout in self.layouts)
        return min(sorted_in, key=lambda arrangement: len(arrangement.missing))

    def _arrange(
        self, layout: Mapping[str, Place], names: list[str], given: Mapping[str, str]
    ) -> Arrangement:
        found = {own: name for own, name in given.items() if own in layout or own in self.aliases}
        tied, duplicates = {}, {}
        for alias, first in self.aliases.items():
            if alias in found:
                # Some checkpoints have a tied tensor only under its second name.
                kept = found.setdefault(first, found[alias])
                if found[alias] != kept:
                    duplicates[found[alias]] = kept
            if first in found:
                tied[alias] = found[first]
        ordered = {own: found[own] for own in layout if own in found}
        used = {*ordered.values(), *duplicates}
        return Arrangement(
            names=ordered,
            tied=tied,
            missing=tuple(own for own in layout if own not in found),
            extra=tuple(name for name in names if name not in used),
            duplicates=duplicates,
        )
