"""A model's tensors and their places, and a checkpoint's names sorted into them.

A language model may be a separate model or lie in one that also sees or hears. Such models are compared by
what the tensors are called within the language model (`Structure.key`).
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
    """Where in the model a tensor belongs.

    Attributes:
        section: Before the decoder layers, in them, behind them, the head, or outside the language model.
        layer: Index of its layer; None outside the layers.
        shape: The shape the configuration asks for.
        is_float: Whether the model holds it as a floating-point number.
        by_token: Whether it has one row for each token: the input embeddings and the head.
    """

    section: Section
    layer: int | None
    shape: tuple[int, ...]
    is_float: bool
    by_token: bool = False


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A checkpoint's names, sorted into its model.

    Attributes:
        names: The model's own name of each tensor -> the checkpoint's name of it, in model order. A tied
            head is no tensor of its own and does not appear.
        tied: The model's own name of each further name of a tied tensor -> the checkpoint's name of it.
        missing: What the model needs and the checkpoint lacks.
        extra: What the checkpoint holds and the model does not use (rotary tables, attention masks, ...).
        duplicates: Checkpoint's name of a second copy of a tied tensor -> its name of the first.
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
        name: What messages call the model.
        architecture: Name of the model class.
        model_type: transformers' name of the family.
        text_type: transformers' name of the decoder's family; of a text model its own.
        stands_alone: Whether transformers has models that are just such a decoder.
        layers: Number of decoder layers.
        vocabulary: Number of rows of the embeddings.
        prefix: The name of the part below the head, which checkpoints may leave out (`model`).
        decoder: What the names of the decoder's tensors begin with (`model.language_model.`).
        blocks: What the names of its layers' tensors begin with, before the index.
        head: What the names of the head's tensors begin with; None without a head.
        layouts: The ways checkpoints of this family divide its tensors, each in model order, under the names
            they have once transformers has renamed them.
        aliases: A further name of a tied tensor -> its first name.
        settings: What the language model's configuration says; see `configurations.settings_of`.
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
        """The place of a tensor, by the model's own name of it; a tied tensor's is that of its first name."""
        name = self.aliases.get(name, name)
        return next((layout[name] for layout in self.layouts if name in layout), None)

    def place_is_head(self, own: str) -> bool:
        """Whether a tensor is the head's, by the model's own name of it."""
        return self.head is not None and own.startswith(self.head)

    def key(self, own: str) -> str | None:
        """What a tensor is called within the language model, wherever that is; None outside of it.

        Args:
            own: The model's own name of it.
        """
        if self.head is not None and self.place_is_head(own):
            return f"{self.head.split('.')[-2]}.{own.removeprefix(self.head)}"
        return own.removeprefix(self.decoder) if own.startswith(self.decoder) else None

    def own_names(self, names: Iterable[str]) -> dict[str, str]:
        """A checkpoint's names -> the model's own names, of the tensors that the model has in any layout."""
        known = self.aliases.keys() | {own for layout in self.layouts for own in layout}
        renaming, found = self.renaming.fresh(), {}
        for name in sorted(names):
            own = next((own for own in renaming.candidates(name) if own in known), None)
            if own is not None:
                found[name] = own
        return found

    def plain_names(self, names: Iterable[str]) -> dict[str, str]:
        """A checkpoint's names -> names that transformers understands.

        Where training tools have left something in them, tensors get the model's own names. So do those of a
        language model that is elsewhere than the configuration says. Any other name stays.
        """
        names = list(names)
        plain = without_leftovers(names, self.own_names)
        known = self.own_names(plain.values())
        moved = known if list(plain.values()) != names else {}
        if self.arrange(plain.values()).missing:
            moved = moved | self.elsewhere(plain.values(), known)
        return {name: moved.get(short, short) for name, short in plain.items()}

    def elsewhere(self, names: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
        """Names of a language model that is elsewhere -> the model's own names.

        Args:
            names: All names.
            known: Those that `own_names` knows.
        """
        everything = {key: own for layout in self.layouts for own in layout if (key := self.key(own))}
        heads = {key: own for key, own in everything.items() if self.place_is_head(own)}
        decoder = {key: own for key, own in everything.items() if key not in heads}
        left, found = [name for name in names if name not in known], set(known.values())
        return {**nested_elsewhere(left, decoder, found), **nested_elsewhere(left, heads, found)}

    def arrange(self, names: Iterable[str]) -> Arrangement:
        """Sort a checkpoint's names into the model, by the layout which fits them best."""
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
                # Some checkpoints keep a tied tensor under its second name only.
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
