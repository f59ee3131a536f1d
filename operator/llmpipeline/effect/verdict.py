"""Which effects a user does not want, and which of them a change has."""

from collections.abc import Collection
from typing import Final, get_args

from llmpipeline.effect.outcome import Effect, Kind

INTERRUPTION: Final = "Interruption"
EXTRA_GPUS: Final = "ExtraGPUs"
# Every kind but the one in which nothing happens, and two properties of an effect.
WORDS: Final[tuple[str, ...]] = (*(kind for kind in get_args(Kind) if kind != "Unchanged"), INTERRUPTION, EXTRA_GPUS)


def unwanted(effect: Effect, words: Collection[str]) -> tuple[str, ...]:
    """Those of these words that an effect has, in the order of `WORDS`."""
    has: set[str] = {effect.kind}
    if effect.interrupts:
        has.add(INTERRUPTION)
    if effect.gpus_more > 0:
        has.add(EXTRA_GPUS)
    return tuple(word for word in WORDS if word in has and word in words)
