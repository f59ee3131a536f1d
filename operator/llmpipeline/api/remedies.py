"""What to write instead of a name or a value that the resource does not know."""

import difflib
import re
from collections.abc import Iterable
from functools import cache

from pydantic.alias_generators import to_camel

from llmpipeline.api.accelerator import BUILT_IN, TYPE_PATTERN
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


def nearest(given: str, choices: Iterable[str]) -> str:
    """The choice that was most likely meant, as a question; empty if none was."""
    by_letters = {_letters(choice): choice for choice in choices}
    letters = _letters(given)
    close = difflib.get_close_matches(letters, by_letters, n=1, cutoff=_ALIKE)
    close = close or sorted((choice for choice in by_letters if letters.startswith(choice)), key=len)[-1:]
    return f"did you mean {by_letters[close[0]]}?" if close else ""


def gpu_type(given: str, known: Iterable[str] = BUILT_IN) -> str:
    """The type of GPU that was most likely meant, as a question; empty if none was."""
    choices = tuple(known)
    if not re.fullmatch(TYPE_PATTERN, given):
        same = [choice for choice in choices if _letters(choice) == _letters(given)]
        if not same and re.fullmatch(TYPE_PATTERN, given.upper()):
            return f"did you mean {given.upper()}?"
    # B300 is no misspelled B200, but another GPU.
    others = (it for it in choices if _without_digits(it) != _without_digits(given) or _letters(it) == _letters(given))
    return nearest(given, others)


def as_object(path: Path, given: object) -> str:
    """How to write an object for which only its first field is given, as a text; empty if that is not meant."""
    if path[-1:] != ("accelerator",) or not isinstance(given, str):
        return ""
    return f"write accelerator: {{type: {given if len(given) <= 32 and re.fullmatch(TYPE_PATTERN, given) else 'L4'}}}"


def written_like(path: Path, given: str) -> str:
    """How a text of a certain form looks, by an example; empty if the form says it."""
    name = str(path[-1]) if path else ""
    if path[-2:] == ("accelerator", "type") or (path[-3:-2] == ("gpuTypes",) and name == "name"):
        return gpu_type(given) or "write it in capitals, like L40S"
    if name in ("uri", "path") and given.startswith(HUB) and not (name == "uri" and given.startswith("hf://")):
        return "write a model of the Hugging Face hub like uri: hf://Qwen/Qwen3-8B"
    return f"write it like {EXAMPLES[name]}" if name in EXAMPLES else ""


def _letters(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower()).removeprefix("nvidia")


def _without_digits(name: str) -> str:
    return re.sub("[0-9]", "", name)


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
