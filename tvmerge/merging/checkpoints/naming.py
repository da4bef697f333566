"""Maps a checkpoint's names to transformers', and removes the prefixes of training tools.

Checkpoints have the names of the release that wrote them: `language_model.model.layers.0` is now
`model.language_model.layers.0`. transformers renames them by rules of the model, which are read from it; no
family is known here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from copy import deepcopy

from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import Transpose, WeightConverter, WeightRenaming, rename_source_key

_DEEPEST = 8
"""Number of common leading parts that may be those of wrappers."""


class Renaming:
    """Finds the names a model may have for a checkpoint's tensor.

    Args:
        model: The model, on any device.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._prefix = f"{model.base_model_prefix}."
        rules = get_model_conversion_mapping(model) or []
        self._rules = [rule for rule in rules if isinstance(rule, WeightRenaming)]
        self._turning = [rule for rule in rules if isinstance(rule, WeightConverter) and _turns(rule)]

    def fresh(self) -> Renaming:
        """Return a copy without state, since some rules depend on earlier names."""
        new: Renaming = object.__new__(Renaming)
        new._prefix, new._rules, new._turning = self._prefix, deepcopy(self._rules), self._turning
        return new

    def fits(self, own: str, stored: Sequence[int], wanted: Sequence[int]) -> bool:
        """Return whether transformers loads a tensor unchanged or with its last dimensions swapped.

        Args:
            own: The model's name of it.
            stored: Its shape in the checkpoint.
            wanted: Its shape in the model.
        """
        if tuple(stored) == tuple(wanted):
            return True
        swapped = len(stored) > 2 and (*stored[:-2], stored[-1], stored[-2]) == tuple(wanted)
        return swapped and rename_source_key(own, [], self._turning)[1] is not None

    def candidates(self, name: str) -> Iterator[str]:
        """Return the possible names of a tensor in the model, the likeliest first and the unchanged one last.

        A checkpoint may contain only the module below the head, and then its names lack the model's prefix.
        """
        renamed, _ = rename_source_key(name, self._rules, [])
        for known in dict.fromkeys((renamed, name)):
            yield known
            yield f"{self._prefix}{known}"
            yield known.removeprefix(self._prefix)


def _turns(rule: WeightConverter) -> bool:
    """Return whether a rule transposes the last two of three dimensions if the shape differs."""
    match rule.operations:
        case [Transpose(dim0=1, dim1=2, check_dims=True)]:
            return True
    return False


def without_leftovers(
    names: Iterable[str], known: Callable[[Iterable[str]], Collection[str]]
) -> dict[str, str]:
    """Return the names without the parts added by wrappers of torch and trainers, by name.

    Parts with a leading underscore (`_orig_mod`, `_fsdp_wrapped_module`) are removed, as is a common prefix
    (`module`) if the model then knows more of the names.

    Args:
        names: A checkpoint's names.
        known: Returns which of some names the model knows.
    """
    names = list(names)
    bare = {name: ".".join(p for p in name.split(".") if not p.startswith("_")) for name in names}
    if len(set(bare.values())) < len(names):  # the names would no longer be unique
        bare = {name: name for name in names}
    shared = min(_shared(bare.values()), _DEEPEST)
    choices = [{name: name for name in names}] + [
        {name: ".".join(short.split(".")[count:]) for name, short in bare.items()}
        for count in range(shared + 1)
    ]
    return max(choices, key=lambda choice: len(known(choice.values())))


def _shared(names: Iterable[str]) -> int:
    """Return the number of common leading parts of all names, excluding their last part."""
    split = [name.split(".")[:-1] for name in names]
    if not split:
        return 0
    low, high = min(split), max(split)
    return next((i for i, pair in enumerate(zip(low, high, strict=False)) if pair[0] != pair[1]), len(low))


def nested_elsewhere(names: Iterable[str], keys: Mapping[str, str], found: Set[str]) -> dict[str, str]:
    """Return the model's names of a language model at another path, by the checkpoint's names.

    A text model may have been saved under its names in a multimodal model, and vice versa. The path with the
    most missing tensors and none of those found is used.

    Args:
        names: Names that the model does not know.
        keys: The model's name of each tensor, by its name within the language model.
        found: The model's names of the tensors found so far.
    """
    under: dict[str, dict[str, str]] = {}
    for name in names:
        parts = name.split(".")
        for cut in range(len(parts)):
            own = keys.get(".".join(parts[cut:]))
            if own is not None:
                under.setdefault(".".join(parts[:cut]), {})[name] = own
    counts = Counter({path: len(held) for path, held in under.items() if found.isdisjoint(held.values())})
    return under[counts.most_common(1)[0][0]] if counts else {}
