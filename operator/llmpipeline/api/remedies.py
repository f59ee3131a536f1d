"""What to write instead of a name or a value that the resource does not know."""

import difflib
import re
from functools import cache

from pydantic.alias_generators import to_camel

from llmpipeline.api.base import Model, model_in
from llmpipeline.api.other_names import EXAMPLES, HINTS, HUB
from llmpipeline.problems import Path

# So alike are a name and its misspelling; `replicas` and `cpusForReplicas` are not.
_ALIKE = 0.7
# A name that is known in more places than these says nothing about what was meant.
_MOST_PLACES = 3


def instead_of(path: Path, root: type[Model]) -> str:
    """What to write instead of an unknown field; empty if nothing is known there."""
    name, known = str(path[-1]), _fields_at(path[:-1], root)
    if to_camel(name) in known:
        return f"did you mean {to_camel(name)}?"
    if hint := HINTS.get(name):
        return hint
    if name in ("minReplicas", "maxReplicas") and "autoscaling" in known:
        return f"use autoscaling.{name}"
    if close := difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE):
        return f"did you mean {close[0]}?"
    if "extra" in known:
        return "put it into extra, by the name that vLLM has for it"
    places = _places(root).get(to_camel(name), [])
    here = "".join("[]" if isinstance(part, int) else f".{part}" for part in path[:-1]).lstrip(".")
    if inside := [place for place in places if place.startswith(f"{here}.")]:
        return f"{to_camel(name)} is a field of {min(inside, key=len).removeprefix(f'{here}.')}"
    if 0 < len(places) <= _MOST_PLACES:
        return f"{to_camel(name)} is a field of {', '.join(sorted(places))}"
    return f"known here: {', '.join(known)}" if known else ""


def nearest(given: str, choices: str) -> str:
    """The choice that was most likely meant, of a sentence that names them in quotes."""
    by_letters = {re.sub("[^a-z0-9]", "", choice.lower()): choice for choice in re.findall("'([^']*)'", choices)}
    letters = re.sub("[^a-z0-9]", "", given.lower()).removeprefix("nvidia")
    close = difflib.get_close_matches(letters, by_letters, n=1, cutoff=_ALIKE)
    close = close or sorted((choice for choice in by_letters if letters.startswith(choice)), key=len)[-1:]
    return f"did you mean {by_letters[close[0]]}?" if close else ""


def written_like(path: Path, given: str) -> str:
    """How a text of a certain form looks, by an example; empty if the form says it."""
    name = str(path[-1]) if path else ""
    if name in ("uri", "path") and given.startswith(HUB):
        return "for the Hugging Face hub use huggingFace.repository"
    return f"write it like {EXAMPLES[name]}" if name in EXAMPLES else ""


def _fields_at(path: Path, root: type[Model]) -> list[str]:
    """The names that the model at this path takes."""
    model: type[Model] | None = root
    for part in path:
        if isinstance(part, int):
            continue
        field = next((f for f in model.model_fields.values() if f.alias == part), None) if model else None
        model = model_in(field.annotation) if field else None
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


@cache
def _places(root: type[Model]) -> dict[str, list[str]]:
    """Where each field is known, as paths like `spec.apps[].openai`."""
    found: dict[str, list[str]] = {}
    waiting = [(root, "")]
    while waiting:
        model, at = waiting.pop()
        for name, field in model.model_fields.items():
            alias = field.alias or name
            if at and at != "metadata" and not at.startswith("status"):
                found.setdefault(alias, []).append(at)
            if inner := model_in(field.annotation):
                is_list = "tuple" in str(field.annotation)
                waiting.append((inner, f"{at}.{alias}".lstrip(".") + ("[]" if is_list else "")))
    return found
