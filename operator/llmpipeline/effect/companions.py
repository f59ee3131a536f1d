"""What becomes of the companion objects of a pipeline. None of it restarts a Pod."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from llmpipeline.effect.outcome import Effect
from llmpipeline.names import Manifest, Object, object_of

Fate = Literal["is added", "changes", "is removed", "is not this pipeline's and stays as it is", "cannot be read"]


@dataclass(frozen=True, slots=True)
class Companion:
    """A companion object, and what becomes of it."""

    kind: str
    name: str
    fate: Fate


def between(old: Iterable[Manifest], new: Iterable[Manifest]) -> tuple[Companion, ...]:
    """What becomes of the companion objects between two renderings."""
    before, after = ({object_of(made): made for made in some} for some in (old, new))
    return tuple(
        Companion(which.kind, which.key.name, _fate(which, before, after))
        for which in dict.fromkeys((*before, *after))
        if before.get(which) != after.get(which)
    )


def _fate(which: Object, before: dict[Object, Manifest], after: dict[Object, Manifest]) -> Fate:
    if which not in before:
        return "is added"
    return "changes" if which in after else "is removed"


def with_companions(effect: Effect, companions: Sequence[Companion]) -> Effect:
    """The effect of a change that also does this to companion objects."""
    text = _told(companions)
    if not text:
        return effect
    is_all = not effect.fields and any(item.fate != "cannot be read" for item in companions)
    return replace(effect, message=text if is_all else f"{effect.message} {text}")


def _told(companions: Sequence[Companion]) -> str:
    moved = [item for item in companions if item.fate != "cannot be read"]
    hidden = list(dict.fromkeys(item.kind for item in companions if item.fate == "cannot be read"))
    sentences = []
    if moved:
        fates = ", ".join(f"{item.kind} {item.name} {item.fate}" for item in moved)
        sentences.append(f"Companion objects: {fates}; no Pod restarts for it.")
    if hidden:
        sentences.append(
            f"Companion objects of these kinds cannot be read, so what becomes of them is not known: "
            f"{', '.join(hidden)}."
        )
    return " ".join(sentences)
