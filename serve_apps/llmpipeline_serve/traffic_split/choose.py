"""Which variant answers a request. Pure but for the deck, which remembers what it dealt."""

import math
import random
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from starlette.requests import cookie_parser

from llmpipeline_serve.contract.traffic_split import Settings, Sticky, Variant
from llmpipeline_serve.errors import invalid

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case, in the order they came."""


class Deck:
    """Deals variants in proportion to their weights.

    It has a card for each unit of weight (of the weights' lowest terms) and is shuffled again when all are dealt. The
    shares are exact after every deck, where dice would need a million requests, and there is no beat that a client
    which alternates between two kinds of requests could fall into, as round robin would have.
    """

    def __init__(self, variants: Sequence[Variant], dice: random.Random) -> None:
        unit = math.gcd(*(variant.weight for variant in variants))
        self._cards = [variant for variant in variants for _ in range(variant.weight // unit)]
        self._dice = dice
        self._left: list[Variant] = []

    def deal(self) -> Variant:
        """The next variant."""
        if not self._left:
            self._left = self._cards.copy()
            self._dice.shuffle(self._left)
        return self._left.pop()


class Chooser:
    """The choice by one set of settings."""

    def __init__(self, settings: Settings, salt: str, dice: random.Random) -> None:
        """Take the settings.

        Args:
            settings: As they came in the deployment's user_config.
            salt: The app's name: so that in another split other users are in the small share.
            dice: For requests that stand for no user.
        """
        self._settings = settings
        self._salt = salt
        self._deck = Deck(settings.variants, dice)
        self._by_name = {variant.name: variant for variant in settings.variants}

    def choose(self, headers: Headers) -> Variant:
        """The variant for a request with these headers: the one it names, its user's, or the next of the deck.

        Raises:
            ApiError: The override header names no variant.
        """
        headers = list(headers)
        override = self._settings.override_header
        if override and (name := value_of(headers, override)):
            if name not in self._by_name:
                # Not those of weight 0, which only testers know.
                public = ", ".join(variant.name for variant in self._settings.variants if variant.weight)
                raise invalid(f"{override}: no variant of this name; there are {public}", override)
            return self._by_name[name]
        if self._settings.sticky and (user := user_of(headers, self._settings.sticky)):
            return rendezvous(self._settings.variants, f"{self._salt}\0{user}")
        return self._deck.deal()


def rendezvous(variants: Sequence[Variant], key: str) -> Variant:
    """The variant of a key, by weighted rendezvous hashing.

    A variant's score depends on its own name and weight alone, and the highest wins: a variant whose weight grows takes
    keys and gives none, and nothing moves between the others. So with two variants, or when one weight changes, no more
    keys move than must; else at most twice as many.
    Source: Schindelhauer and Schomaker, Weighted distributed hash tables (2005), the logarithmic method.
    """
    return max((variant for variant in variants if variant.weight), key=lambda variant: _score(variant, key))


def _score(variant: Variant, key: str) -> float:
    digest = blake2b(f"{variant.name}\0{key}".encode(errors="surrogateescape"), digest_size=8).digest()
    # Above 0 and below 1, so that the logarithm is finite and not 0.
    uniform = ((int.from_bytes(digest) >> 11) + 0.5) / 2**53
    return -variant.weight / math.log(uniform)


def user_of(headers: Headers, sticky: Sticky) -> str | None:
    """What stands for the user in these headers; None or empty where nothing does."""
    if sticky.header is not None:
        return value_of(headers, sticky.header)
    assert sticky.cookie is not None
    cookies = "; ".join(_text(value) for name, value in headers if name == b"cookie")
    return cookie_parser(cookies).get(sticky.cookie)


def value_of(headers: Headers, wanted: str) -> str | None:
    """The value of a header, the first where there are more; None where there is none."""
    name = wanted.lower().encode()
    return next((_text(value) for given, value in headers if given == name), None)


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape").strip()
