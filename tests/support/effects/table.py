"""The table of `docs/updates.md`: the rows of `field_effects`, those alike together and their fields in short."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from support.effects.apps import DEPLOYMENT, SOURCE
from support.effects.edits import Kind, Restarts, Row
from support.effects.rows import fields as schema_fields

# Blocks that the schema has in many places, by a field that only they have.
_PLACES: Final = {
    field: tuple(known.removesuffix(f".{field}") for known in schema_fields() if known.endswith(f".{field}"))
    for field in ("maxOngoingRequests", "huggingFace.repository")
}
DEPLOYMENTS: Final = _PLACES["maxOngoingRequests"]
SOURCES: Final = _PLACES["huggingFace.repository"]
# What a field of such a block is called wherever it is, the places, and the fields.
_BLOCKS: Final = tuple(
    (short, places, tuple(dict.fromkeys(one.field for one in block)))
    for short, places, block in (("...", DEPLOYMENTS, DEPLOYMENT), ("...model.", SOURCES, SOURCE))
)
_ORDER: Final[tuple[Kind, ...]] = (
    "Nothing", "Companions", "InPlace", "LivePatch", "AddWorkers", "NewCluster", "Suspend", "Resume", "Ignored",
    "Rejected",
)  # fmt: skip
_KINDS: Final[dict[Kind, str]] = {
    "Nothing": "Unchanged",
    "Companions": "Unchanged: only companion objects change",
}
_RESTARTS: Final[dict[Restarts, str]] = {"": "no", "deployment": "its deployment's", "app": "all of the app's"}


@dataclass(frozen=True)
class Outcome:
    """What an edit does, with worker groups given and derived."""

    kind: Kind
    derived: Kind
    restarts: Restarts

    @property
    def cells(self) -> tuple[str, str, str]:
        """What the table says of it."""
        replicas = "all, in the new one" if self.kind == "NewCluster" else _RESTARTS[self.restarts]
        if self.kind in ("Suspend", "Rejected", "Nothing", "Resume"):
            replicas = {"Suspend": "all stop", "Resume": "all"}.get(self.kind, "no")
        derived = "the same" if self.derived == self.kind else self.derived
        return _KINDS.get(self.kind, self.kind), replicas, derived

    @property
    def rank(self) -> tuple[int, ...]:
        """Cheap ones first."""
        restarts: tuple[Restarts, ...] = ("", "deployment", "app")
        return _ORDER.index(self.kind), restarts.index(self.restarts), _ORDER.index(self.derived)


def table(rows: Iterable[Row]) -> str:
    """The table in Markdown."""
    rows = tuple(rows)
    plain, others = _outcomes(rows)
    lines: dict[Outcome, list[str]] = defaultdict(list)
    for outcome, fields in _in_short(plain).items():
        lines[outcome] += [f"`{field}`" for field in _in_braces(fields)]
    for (field, how), outcome in _of_any(others).items():
        lines[outcome].append(f"`{field}` ({how})")
    head = ["| effect | replicas that restart | with derived groups | fields |", "|---|---|---|---|"]
    body = [
        f"| {' | '.join(outcome.cells)} | {', '.join(fields)} |"
        for outcome, fields in sorted(lines.items(), key=lambda item: item[0].rank)
    ]
    return "\n".join((*head, *body)) + "\n"


def _outcomes(rows: Iterable[Row]) -> tuple[dict[str, Outcome], dict[tuple[str, str], Outcome]]:
    """By field; and of edits that are more than another value, by field and edit, where they are not the only ones."""
    found: dict[tuple[str, str], dict[bool, Row]] = defaultdict(dict)
    for row in rows:
        found[row.field, row.how][row.derived] = row
    plain: dict[str, Outcome] = {}
    others: dict[tuple[str, str], Outcome] = {}
    for (field, how), pair in found.items():
        given = pair.get(False) or pair[True]
        outcome = Outcome(given.kind, pair.get(True, given).kind, given.restarts)
        if how and any(key[0] == field and key[1] != how for key in found):
            others[field, how] = outcome
        else:
            plain[field] = outcome
    return plain, others


def _in_short(plain: dict[str, Outcome]) -> dict[Outcome, list[str]]:
    """The fields of each outcome. A field of most deployments is listed once, a uniform block as one."""
    found: dict[Outcome, list[str]] = defaultdict(list)
    told: set[str] = set()
    for short, places, fields in _BLOCKS:
        usual = {field: Counter(plain[f"{place}.{field}"] for place in places).most_common(1)[0][0] for field in fields}
        told |= {
            f"{place}.{field}" for place in places for field in fields if plain[f"{place}.{field}"] == usual[field]
        }
        for field, outcome in usual.items():
            _tell(found[outcome], short + _alike(field, outcome, usual, 1))
    for field, outcome in plain.items():
        if field not in told:
            everywhere = {other: None if other in told else outcome for other, outcome in plain.items()}
            _tell(found[outcome], _alike(field, outcome, everywhere, 2).removeprefix("spec."))
    return found


def _tell(fields: list[str], field: str) -> None:
    if field not in fields:
        fields.append(field)


def _alike(field: str, outcome: Outcome, outcomes: Mapping[str, Outcome | None], least: int) -> str:
    """The largest block around a field in which all fields have its outcome, of so many names or more; else itself."""
    parts = field.split(".")
    for length in range(least, len(parts)):
        block = ".".join(parts[:length])
        below = [outcomes[other] for other in outcomes if other.startswith(f"{block}.")]
        if len(below) > 1 and set(below) == {outcome}:
            return f"{block}.*"
    return field


def _in_braces(fields: list[str]) -> Iterator[str]:
    """Fields of one block as one."""
    blocks: dict[str, list[str]] = defaultdict(list)
    for field in fields:
        block, dot, name = field.rpartition(".")
        if name == "*" or block.endswith("..") or not dot:
            blocks[field] = []
        else:
            blocks[f"{block}."].append(name)
    for block, names in blocks.items():
        yield block + (f"{{{', '.join(names)}}}" if len(names) > 1 else "".join(names))


def _of_any(others: dict[tuple[str, str], Outcome]) -> dict[tuple[str, str], Outcome]:
    """An edit that is alike in most deployments is listed once."""
    found: dict[tuple[str, str], Outcome] = {}
    for (field, how), outcome in others.items():
        (short, places, known), *_ = _BLOCKS
        rests = [field.removeprefix(f"{place}.") for place in places if field.startswith(f"{place}.")]
        rest = min(rests, key=len, default="")
        name = short + rest if rest in known else field.removeprefix("spec.")
        assert found.setdefault((name, how), outcome) == outcome
    return found
