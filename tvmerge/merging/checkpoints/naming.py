"""What transformers calls a checkpoint's tensors as it loads them, and what training tools put before names.

Checkpoints name tensors as the release did that wrote them: `language_model.model.layers.0` is
`model.language_model.layers.0` today. transformers renames them by rules that come with the model; nothing
here knows a family.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from copy import deepcopy

from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import Transpose, WeightConverter, WeightRenaming, rename_source_key


class Renaming:
    """Says under which names a model may hold a tensor that a checkpoint names its own way.

    Args:
        model: The model, on any device.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._prefix = f"{model.base_model_prefix}."
        rules = get_model_conversion_mapping(model) or []
        self._rules = [rule for rule in rules if isinstance(rule, WeightRenaming)]
        self._turning = [rule for rule in rules if isinstance(rule, WeightConverter) and _turns(rule)]

    def fresh(self) -> Renaming:
        """The same, knowing of no name yet: some rules depend on the names that came before."""
        new: Renaming = object.__new__(Renaming)
        new._prefix, new._rules, new._turning = self._prefix, deepcopy(self._rules), self._turning
        return new

    def fits(self, own: str, stored: Sequence[int], wanted: Sequence[int]) -> bool:
        """Whether transformers takes a tensor of a checkpoint as it is, or with its last dimensions swapped.

        Args:
            own: The model's own name of it.
            stored: Its shape in the checkpoint.
            wanted: Its shape in the model.
        """
        if tuple(stored) == tuple(wanted):
            return True
        swapped = len(stored) > 2 and (*stored[:-2], stored[-1], stored[-2]) == tuple(wanted)
        return swapped and rename_source_key(own, [], self._turning)[1] is not None

    def candidates(self, name: str) -> Iterator[str]:
        """The names a tensor may have in the model, the likeliest first; the last is none that was renamed.

        A checkpoint may be of the part below the head alone, and then lacks the model's prefix.
        """
        renamed, _ = rename_source_key(name, self._rules, [])
        for known in dict.fromkeys((renamed, name)):
            yield known
            yield f"{self._prefix}{known}"
            yield known.removeprefix(self._prefix)


def _turns(rule: WeightConverter) -> bool:
    """Whether a rule transposes matrices, the last two of three dimensions, that have the other shape."""
    match rule.operations:
        case [Transpose(dim0=1, dim1=2, check_dims=True)]:
            return True
    return False


def without_leftovers(
    names: Iterable[str], known: Callable[[Iterable[str]], Collection[str]]
) -> dict[str, str]:
    """Names -> the names without what torch's and trainers' wrappers put before and between their parts.

    Parts that begin with an underscore (`_orig_mod`, `_fsdp_wrapped_module`) are dropped, and so are parts
    that all names begin with (`module`), where the model knows more of the names then.

    Args:
        names: A checkpoint's names.
        known: Those of some names that the model knows.
    """
    names = list(names)
    bare = {name: ".".join(p for p in name.split(".") if not p.startswith("_")) for name in names}
    if len(set(bare.values())) < len(names):  # they were names of their own
        bare = {name: name for name in names}
    shared = _shared(bare.values())
    choices = [{name: name for name in names}] + [
        {name: ".".join(short.split(".")[count:]) for name, short in bare.items()}
        for count in range(shared + 1)
    ]
    return max(choices, key=lambda choice: len(known(choice.values())))


def _shared(names: Iterable[str]) -> int:
    """How many parts all names begin with alike, their last part never among them."""
    split = [name.split(".")[:-1] for name in names]
    if not split:
        return 0
    low, high = min(split), max(split)
    return next((i for i, pair in enumerate(zip(low, high, strict=False)) if pair[0] != pair[1]), len(low))


def nested_elsewhere(names: Iterable[str], keys: Mapping[str, str], found: Set[str]) -> dict[str, str]:
    """Names of a language model that is elsewhere than its configuration says -> the model's own names.

    A text model may have been saved under the names it has in a model that also sees images, and the other
    way round. The one path is taken under which most of what is missing is, and nothing that was found.

    Args:
        names: Names that the model does not know.
        keys: Name of each tensor within the language model -> the model's own name of it.
        found: The model's own names of the tensors that are there already.
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
