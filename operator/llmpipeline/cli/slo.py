"""`status --slo`: asks Prometheus, and shows whether the objectives of a pipeline are met."""

import json
import re
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    UnknownHandler,
)

import click

from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.cli.columns import aligned
from llmpipeline.cli.options import NEGATIVE, UNREACHABLE, as_json, fail, wants_colour
from llmpipeline.monitoring.slo import FIELDS, Question, Verdict, all_met, is_window, questions, value_of
from llmpipeline.names import Manifest

VARIABLE: Final = "LLMPIPELINE_PROMETHEUS"
_SECONDS: Final = 30.0
_MOST_BYTES: Final = 8 * 1024 * 1024
_LONGEST_REASON: Final = 300
# A host, perhaps a port and a path; no user, query or fragment.
_URL: Final = re.compile(r"https?://[a-z0-9._:\[\]-]+(?:/[!-\"$->@-~]*)?", re.IGNORECASE)
_HEADINGS: Final = ("APP", "OBJECTIVE", "TARGET", "MEASURED", "MET")
_MET: Final = {True: "yes", False: "no", None: "no data"}
_COLOURS: Final = {True: "green", False: "red", None: "yellow"}


class NoAnswer(Exception):
    """Prometheus cannot be reached or rejects the query; the text says why."""


def checked(url: str | None, window: str) -> str:
    """The URL of Prometheus.

    Raises:
        click.UsageError: It, or the window, cannot be one.
    """
    if not is_window(window):
        raise click.UsageError("--window is a number of minutes, hours or days, such as 5m, 1h or 7d")
    if not url:
        raise click.UsageError(f"--slo needs --prometheus URL, or the URL in the environment variable {VARIABLE}")
    if not _URL.fullmatch(url):
        raise click.UsageError(
            f"--prometheus (or {VARIABLE}) is a URL such as http://localhost:9090, without user, password or query"
        )
    return url.rstrip("/")


def report(document: Manifest, url: str, window: str, output: str) -> int:
    """Prints what was measured for each objective of a pipeline, as read from the cluster; the exit code."""
    pipeline = parse(document)
    if not isinstance(pipeline, LLMPipeline):
        fail("\n".join(("the pipeline has problems:", *map(str, pipeline))), NEGATIVE)
    try:
        verdicts = [Verdict(question, ask(url, question)) for question in questions(pipeline, window)]
    except NoAnswer as error:
        fail(str(error), UNREACHABLE)
    metadata, met = pipeline.metadata, all_met(verdicts)
    if output == "json":
        whose = {"namespace": metadata.namespace, "name": metadata.name, "window": window, "met": met}
        click.echo(as_json({**whose, "objectives": [_described(verdict) for verdict in verdicts]}))
    elif verdicts:
        click.echo(as_table(verdicts), color=wants_colour())
    if not verdicts:
        fields = f"{', '.join(FIELDS[:-1])} or {FIELDS[-1]}"
        fail(f"no app of {metadata.name} has objectives; set {fields} in spec.apps[].objectives", NEGATIVE)
    if met is None:
        why = "there was no traffic, or this Prometheus does not scrape the pipeline"
        fail(f"Prometheus has no data for these objectives in the last {window}: {why}", NEGATIVE)
    return 0 if met else NEGATIVE


def ask(url: str, question: Question) -> float | None:
    """What Prometheus measured; None: there is no data.

    Raises:
        NoAnswer: It cannot be reached or rejects the query.
    """
    try:
        with _opener().open(f"{url}/api/v1/query?{urlencode({'query': question.expression})}", None, _SECONDS) as sent:
            body = sent.read(_MOST_BYTES + 1)
    except HTTPError as error:
        raise NoAnswer(f"Prometheus at {url} rejects the query: {_reason(error)}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise NoAnswer(f"Prometheus at {url} cannot be reached: {_cause(error)}") from error
    if len(body) > _MOST_BYTES:
        raise NoAnswer(f"Prometheus at {url} sends an answer of more than {_MOST_BYTES >> 20} MiB")
    try:
        return value_of(json.loads(body))
    except (ValueError, RecursionError) as error:
        what = "its answer is not that of the Prometheus API; check the host and the path"
        raise NoAnswer(f"{url} does not answer as Prometheus does: {what}") from error


def as_table(verdicts: list[Verdict]) -> str:
    """A line for each objective, under headings."""
    rows = [_HEADINGS, *(_row(verdict) for verdict in verdicts)]
    lines = aligned(rows)
    for number, verdict in enumerate(verdicts, start=1):
        said = _MET[verdict.met]
        lines[number] = lines[number].removesuffix(said) + click.style(said, fg=_COLOURS[verdict.met])
    return "\n".join(lines)


def _row(verdict: Verdict) -> tuple[str, ...]:
    question = verdict.question
    target, measured = (
        "" if value is None else f"{_number(value)} {question.unit}" for value in (question.target, verdict.measured)
    )
    return question.app, question.objective, target, measured, _MET[verdict.met]


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _described(verdict: Verdict) -> dict[str, Any]:
    question = verdict.question
    return {
        "app": question.app,
        "objective": question.objective,
        "target": question.target,
        "measured": verdict.measured,
        "unit": question.unit,
        "met": verdict.met,
    }


def _opener() -> OpenerDirector:
    """Of HTTP alone: urllib's own also reads files and FTP."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler, HTTPHandler, HTTPSHandler, HTTPRedirectHandler, HTTPErrorProcessor, HTTPDefaultErrorHandler,
        UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener


def _reason(error: HTTPError) -> str:
    """The sentence of Prometheus, else the beginning of what was answered."""
    try:
        body = error.read(_MOST_BYTES).decode(errors="replace")
    except (OSError, HTTPException):
        body = ""
    try:
        said = str(json.loads(body)["error"])
    except (ValueError, TypeError, LookupError, RecursionError):
        said = body
    # Nothing that moves the cursor of a terminal.
    shown = "".join(char for char in " ".join(said.split()) if char.isprintable())[:_LONGEST_REASON]
    return f"{shown or error.reason} (HTTP {error.code})"


def _cause(error: Exception) -> str:
    """Why there was no answer."""
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return f"it does not answer within {_SECONDS:g} s"
    return (isinstance(cause, OSError) and cause.strerror) or str(cause) or type(cause).__name__
