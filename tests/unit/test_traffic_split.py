"""trafficSplit without Ray: the resource, its plan, and the choice of a variant."""

import itertools
import random
from collections import Counter
from typing import Any

import pytest

from llmpipeline_serve.contract.traffic_split import Settings, SplitArgs, Variant
from llmpipeline_serve.errors import ApiError
from llmpipeline_serve.traffic_split.choose import Chooser, rendezvous
from llmpipeline_serve.traffic_split.forward import answer_headers, has_body, request_headers, target
from support.pipelines import HELLO, Document, desired_of, model, openai, pipeline, plan_of, says

USERS = [f"user-{number}" for number in range(20_000)]


def split(**fields: Any) -> Document:
    """Three apps, and a split between two of them."""
    variants = [{"name": "one", "app": "hello", "weight": 1}, {"name": "two", "app": "chat", "weight": 0}]
    chat = {**openai(model()), "routePrefix": "/"}
    mine = {"name": "mine", "custom": {"importPath": "my_app:build"}}
    return pipeline(HELLO, chat, mine, {"name": "front", "trafficSplit": {"variants": variants, **fields}})


def problems(**fields: Any) -> list[str]:
    return says(split(**fields))


def variants(**weights: int) -> tuple[Variant, ...]:
    return tuple(Variant(name=name, route=f"/{name}", weight=weight) for name, weight in weights.items())


def chooser(salt: str = "front", **fields: Any) -> Chooser:
    fields.setdefault("variants", variants(stable=95, candidate=5))
    return Chooser(Settings(**fields), salt, random.Random(0))


def test_the_plan_is_what_the_app_takes() -> None:
    shadow = [{"app": "mine", "percent": 10}]
    document = split(sticky={"cookie": "session"}, overrideHeader="X-Pick", shadow=shadow, timeoutSeconds=9)
    app = desired_of(document).plan.applications[-1]
    SplitArgs.model_validate(app.args)
    (deployment,) = app.deployments
    assert deployment["max_ongoing_requests"] == 1000
    assert Settings.model_validate(deployment["user_config"]) == Settings(
        variants=(Variant(name="one", route="/hello", weight=1), Variant(name="two", route="/", weight=0)),
        sticky={"cookie": "session"},
        override_header="X-Pick",
        shadow=({"app": "mine", "route": "/mine", "percent": 10},),
        timeout_seconds=9,
    )


def test_an_edit_of_the_split_changes_its_user_config_alone() -> None:
    before, after = split(), split(sticky={"header": "X-User"}, timeoutSeconds=5)
    first, second = (plan_of(document).applications[-1] for document in (before, after))
    assert first.args == second.args
    (one,), (other,) = first.deployments, second.deployments
    assert {key for key in one if one[key] != other[key]} == {"user_config"}


AT = "spec.apps[3].trafficSplit"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"variants": [{"name": "x", "app": "gone", "weight": 1}]},
            f"{AT}.variants[0].app: this pipeline has no app gone; apps to choose from: hello, chat, mine",
        ),
        (
            {"variants": [{"name": "x", "app": "front", "weight": 1}]},
            f"{AT}.variants[0].app: front is a trafficSplit, and one may not pass requests to another",
        ),
        ({"shadow": [{"app": "front", "percent": 1}]}, f"{AT}.shadow[0].app: front is a trafficSplit"),
        ({"shadow": [{"app": "mine", "percent": 1}] * 2}, f"{AT}.shadow[1].app: duplicate app"),
        ({"variants": [{"name": "x", "app": "hello", "weight": 0}]}, f"{AT}.variants: every weight is 0"),
        ({"variants": [{"name": "x", "app": "hello", "weight": -1}]}, f"{AT}.variants[0].weight: must be greater"),
        (
            {"variants": [{"name": "x", "app": "hello", "weight": 0.5}]},
            f"{AT}.variants[0].weight: must be an integer",
        ),
        (
            {"variants": [{"app": "hello", "weight": 1}, {"name": "x", "app": "hello", "weight": 1}]},
            f"{AT}.variants[1].app: duplicate app",
        ),
        ({"sticky": {"header": "A", "cookie": "b"}}, f"{AT}.sticky: give exactly one of header and cookie"),
        ({"sticky": {}}, f"{AT}.sticky: give exactly one of header and cookie"),
        ({"sticky": {"header": "X User"}}, f'{AT}.sticky.header: "X User" does not match'),
        ({"overrideHeader": "a:b"}, f'{AT}.overrideHeader: "a:b" does not match'),
        ({"shadow": [{"app": "mine", "percent": 0}]}, f"{AT}.shadow[0].percent: must be greater"),
        ({"replicas": 1, "autoscaling": {"maxReplicas": 2}}, f"{AT}: give replicas or autoscaling"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], says: str) -> None:
    (problem,) = problems(**fields)
    assert says in problem


def test_the_deck_holds_the_weights() -> None:
    split = chooser(variants=variants(a=70, b=25, c=5, d=0))
    dealt = Counter(split.choose([]).name for _ in range(20_000))
    assert dealt == {"a": 14_000, "b": 5_000, "c": 1_000}


def test_the_deck_follows_no_beat() -> None:
    """A client that sends two kinds of requests in turn finds each variant equally often for both."""
    split = chooser(variants=variants(a=1, b=1))
    dealt = [split.choose([]).name for _ in range(20_000)]
    assert 4_700 < Counter(dealt[::2])["a"] < 5_300


@pytest.mark.parametrize("weights", [{"stable": 95, "candidate": 5}, {"a": 1, "b": 1, "c": 2}, {"a": 1000, "b": 1}])
def test_users_are_shared_out_by_weight(weights: dict[str, int]) -> None:
    found = Counter(rendezvous(variants(**weights), user).name for user in USERS)
    total = sum(weights.values())
    assert all(abs(found[name] / len(USERS) - weight / total) < 0.01 for name, weight in weights.items())


@pytest.mark.parametrize(
    ("before", "after", "times"),
    [
        ({"a": 95, "b": 5}, {"a": 90, "b": 10}, 1),
        ({"a": 95, "b": 5}, {"a": 95, "b": 10}, 1),
        ({"a": 50, "b": 50, "c": 0}, {"a": 50, "b": 50, "c": 25}, 1),
        ({"a": 1, "b": 0}, {"a": 0, "b": 1}, 1),
        ({"a": 9, "b": 1}, {"a": 90, "b": 10}, 1),
        # Among three, users move from and to the third as well.
        ({"a": 50, "b": 50, "c": 0}, {"a": 50, "b": 25, "c": 25}, 2),
    ],
)
def test_a_change_moves_only_as_many_users_as_it_must(
    before: dict[str, int], after: dict[str, int], times: int
) -> None:
    old = [rendezvous(variants(**before), user).name for user in USERS]
    new = [rendezvous(variants(**after), user).name for user in USERS]
    changes = [after[name] / sum(after.values()) - before[name] / sum(before.values()) for name in after]
    must = sum(change for change in changes if change > 0)
    moved = sum(one != other for one, other in zip(old, new, strict=True)) / len(USERS)
    assert must - 0.01 < moved < times * must + 0.01


def test_two_splits_do_not_pick_the_same_users() -> None:
    headers = [[(b"x-user", user.encode())] for user in USERS]
    names = [[chooser(salt, sticky={"header": "X-User"}).choose(h).name for h in headers] for salt in ("one", "two")]
    both = sum(one == other == "candidate" for one, other in zip(*names, strict=True))
    assert both / len(USERS) < 0.01


@pytest.mark.parametrize(
    ("sticky", "headers"),
    [
        ({"header": "X-User"}, [(b"x-user", b"ann")]),
        ({"header": "X-User"}, [(b"x-user", b"\xff\xfe")]),
        ({"cookie": "session"}, [(b"cookie", b"a=b; session=ann; c")]),
        ({"cookie": "session"}, [(b"cookie", b"a=b"), (b"cookie", b"session=ann")]),
    ],
)
def test_a_user_is_known_by(sticky: dict[str, str], headers: list[tuple[bytes, bytes]]) -> None:
    split = chooser(variants=variants(a=1, b=1, c=1), sticky=sticky)
    assert len({split.choose(headers).name for _ in range(50)}) == 1


@pytest.mark.parametrize("headers", [[], [(b"x-user", b"")], [(b"cookie", b"session=ann")]])
def test_nobody_is_dealt_a_card(headers: list[tuple[bytes, bytes]]) -> None:
    split = chooser(variants=variants(a=1, b=1), sticky={"header": "X-User"})
    assert {split.choose(headers).name for _ in range(50)} == {"a", "b"}


def test_a_tester_names_the_variant() -> None:
    split = chooser(variants=variants(a=1, b=0), override_header="X-Pick", sticky={"header": "X-User"})
    assert split.choose([(b"x-user", b"ann"), (b"x-pick", b"b")]).name == "b"
    assert split.choose([(b"x-user", b"ann"), (b"x-pick", b"")]).name == "a"
    with pytest.raises(ApiError, match=r"X-Pick: no variant of this name; there are a$") as refused:
        split.choose([(b"x-pick", b"c")])
    assert (refused.value.status, refused.value.field) == (400, "X-Pick")


def scope(raw: str, root: str = "/front", query: str = "", path: str | None = None) -> dict[str, Any]:
    return {
        "root_path": root,
        "path": path or raw,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
    }


@pytest.mark.parametrize(
    ("given", "route", "asked"),
    [
        (scope("/front"), "/a", "/a"),
        (scope("/front/"), "/a", "/a/"),
        (scope("/front"), "/", "/"),
        (scope("/front/x/y", query="q=%20&c"), "/", "/x/y?q=%20&c"),
        (scope("/front/x%2Fy", path="/front/x/y"), "/a/b", "/a/b/x%2Fy"),
        (scope("/", root=""), "/a", "/a/"),
        (scope("/x", root=""), "/", "/x"),
        (scope("*", root=""), "/", "/*"),
        (scope("@elsewhere", root=""), "/", "/@elsewhere"),
        (scope("//elsewhere/x", root=""), "/", "//elsewhere/x"),
        (scope("/fr%6Fnt/x%20y", path="/front/x y"), "/a", "/a/x%20y"),
    ],
)
def test_the_path_at_the_variant(given: dict[str, Any], route: str, asked: str) -> None:
    assert target(given, route) == asked


def test_headers_of_one_connection_stay_behind() -> None:
    one_connection = [
        (b"connection", b"close, X-Two"),
        (b"x-llmpipeline-shadow", b"true"),
        (b"transfer-encoding", b"chunked"),
        (b"te", b"trailers"),
        (b"upgrade", b"h2c"),
        (b"expect", b"100-continue"),
    ]
    kept = [(b"host", b"here"), (b"authorization", b"Bearer x"), (b"x-two", b"1"), (b"x-two", "é".encode())]
    mixed = [*itertools.chain.from_iterable(zip(one_connection, kept, strict=False)), *one_connection[len(kept) :]]
    assert request_headers(mixed, (b"x-more", b"m")) == [
        *((name.decode(), value.decode()) for name, value in kept),
        ("x-more", "m"),
    ]
    assert request_headers([(b"x", b"\xe9")]) == [("x", "é")]


def test_the_headers_of_the_answer() -> None:
    given = [
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"Date", b"now"),
        (b"Server", b"uvicorn"),
        (b"X-Variant", b"forged"),
        (b"X-Request-ID", b"mine"),
        (b"X-Request-ID", b"another"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-Odd", b"\xe9"),
    ]
    assert answer_headers(given, "stable", b"mine") == [
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-request-id", b"another"),
        (b"x-odd", b"\xe9"),
        (b"x-variant", b"stable"),
    ]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], False),
        ([(b"content-length", b"0")], False),
        ([(b"content-length", b"1")], True),
        ([(b"transfer-encoding", b"chunked")], True),
    ],
)
def test_whether_there_is_a_body(headers: list[tuple[bytes, bytes]], expected: bool) -> None:
    assert has_body(headers) is expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"variants": []},
        {"variants": [{"name": "a", "route": "/a", "weight": 0}]},
        {"variants": [{"name": "a", "route": "/a", "weight": 1}], "sticky": {}},
        {"variants": [{"name": "a", "route": "/a", "weight": 1}], "stiky": {"header": "X"}},
    ],
)
def test_wrong_settings_fail_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"variants|weight|sticky|stiky"):
        Settings.model_validate(wrong)
