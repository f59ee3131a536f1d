"""The way of one request through the graph.

Knows nothing of Ray: how a node is asked is given.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import TemplateError

from llmpipeline_serve import tracing
from llmpipeline_serve.contract.graph import GraphSettings, StepSettings
from llmpipeline_serve.errors import ApiError, failed_upstream, invalid, timed_out
from llmpipeline_serve.graph.messages import Messages
from llmpipeline_serve.templates import Compiled, Result, expression, template

# Asks a node: its name and what it works on. Returns the fields of its result.
Ask = Callable[[str, Any], Awaitable[dict[str, Any]]]

# Hears of a node, what became of it, and the seconds that took.
Noted = Callable[[str, str, float], None]

# The attribute of a node's span.
OUTCOME: Final = "llmpipeline.node.outcome"
_TEXT_OF_NODE: Final = re.compile(r"\s*(\w+)\s*\.\s*text\s*")


class RequestBody(Result):
    """The request, as templates see it: what it lacks is the client's mistake."""

    def lacks(self, name: str) -> Exception:
        """The error of asking for a field that is not there."""
        return invalid(f"{name}: is required by this graph", name)


class SkippedNodeError(Exception):
    """Something needs the result of a node that was skipped."""


class Fallback(Result):
    """The result that stands in for that of a node which failed."""


class Skipped(Result):
    """The result of a node that was skipped."""

    skipped = True

    def lacks(self, name: str) -> Exception:
        """The error of asking for a field of it."""
        return SkippedNodeError(name)


@dataclass(frozen=True, slots=True)
class Step:
    """A node with its expressions compiled."""

    name: str
    after: tuple[str, ...]
    when: Compiled | None
    input: Callable[[Mapping[str, Any]], Any]
    timeout_seconds: float | None
    fallback: dict[str, Any] | None


class CompiledGraph:
    """A graph, ready to take any number of requests."""

    def __init__(self, settings: GraphSettings, noted: Noted = lambda *_: None) -> None:
        self._noted = noted
        self._steps = _in_order([_step(node) for node in settings.nodes])
        self._output = None if settings.output is None else _compiled(settings.output)
        waited_for = {name for node in settings.nodes for name in node.after}
        self._last = [node.name for node in settings.nodes if node.name not in waited_for]
        self._models = [node.name for node in settings.nodes if node.asks_a_model]
        # The node whose text is all of the answer, if there is one.
        self.node = self._node_of_output(settings.output)

    async def run(self, request: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
        """Answer a request.

        Raises:
            ApiError: A node failed, and has no fallback.
        """
        values = await self.values(request, ask)
        if self._output is None:
            return {name: _plain(values[name]) for name in self._last}
        shaped: dict[str, Any] = _shaped(self._output, values)
        return shaped

    async def values(self, request: Mapping[str, Any], ask: Ask, *, without: str | None = None) -> dict[str, Any]:
        """Ask the nodes, but for one that nothing comes after; return the request and their results by their names.

        Nodes that do not wait for each other run at once; the first failure ends all.

        Raises:
            ApiError: A node failed, and has no fallback.
        """
        values: dict[str, Any] = {"request": RequestBody(request)}
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for step in (step for step in self._steps if step.name != without):
                    before = [tasks[name] for name in step.after]
                    tasks[step.name] = group.create_task(_take(step, before, values, ask, self._noted))
        except* ApiError as errors:
            raise _first(errors) from None
        return values

    def step(self, name: str) -> Step:
        """The node of this name."""
        return next(step for step in self._steps if step.name == name)

    def node_of_text(self, source: str) -> str | None:
        """The last node with a model whose text is all that an expression gives; None if there is none."""
        found = _TEXT_OF_NODE.fullmatch(source)
        return found[1] if found and found[1] in self._models and found[1] in self._last else None

    def usage(self, values: Mapping[str, Any]) -> dict[str, int]:
        """The tokens that all models took and made for a request, in OpenAI's words; empty if no model was asked."""
        answers = [values[name] for name in self._models if name in values]
        counts = [it["usage"] for it in answers if "usage" in it and not isinstance(it, Fallback)]
        if not counts:
            return {}
        prompt, completion = (sum(it[f"{kind}_tokens"] for it in counts) for kind in ("prompt", "completion"))
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def _node_of_output(self, output: dict[str, Any] | None) -> str | None:
        if output is None:
            return self.node_of_text(f"{self._last[0]}.text") if len(self._last) == 1 else None
        only = next(iter(output.values())) if len(output) == 1 else None
        return self.node_of_text(only) if isinstance(only, str) else None


async def _take(step: Step, before: list[asyncio.Task[None]], values: dict[str, Any], ask: Ask, noted: Noted) -> None:
    """Wait for the nodes before it, then do a node's work, and put its result among the values."""
    for task in before:
        await task
    began, outcome = time.perf_counter(), "cancelled"
    with tracing.span("node", step.name):
        try:
            result = await result_of(step, values, ask)
            outcome = outcome_of(result)
        except SkippedNodeError:
            result, outcome = Skipped(), "skipped"
        except Exception as error:
            outcome = "invalid" if _is_invalid(error) else "error"
            raise
        finally:
            tracing.mark(OUTCOME, outcome)
            noted(step.name, outcome, time.perf_counter() - began)
    values[step.name] = result


def _is_invalid(error: Exception) -> bool:
    """Whether the request is wrong, which is no fault of a node."""
    return isinstance(error, ApiError) and error.kind == "invalid_request"


def outcome_of(result: Result) -> str:
    """What became of a node, in a word."""
    if isinstance(result, Fallback):
        return "fallback"
    return "skipped" if result.skipped else "ok"


async def result_of(step: Step, values: Mapping[str, Any], ask: Ask) -> Result:
    """Do a node's work: its result, its fallback, or that it was skipped.

    Raises:
        SkippedNodeError: It needs the result of a node that was skipped.
        ApiError: It failed, and has no fallback.
    """
    try:
        if step.when and not step.when(values):
            return Skipped()
        async with asyncio.timeout(step.timeout_seconds):
            return Result(await ask(step.name, _plain(step.input(values))))
    except SkippedNodeError:
        raise
    except Exception as error:
        # A wrong request is answered as such: a fallback is for nodes that fail.
        if _is_invalid(error):
            raise
        if step.fallback is not None:
            tracing.fail(type(error).__name__)
            return Fallback(step.fallback)
        raise failed(step, error) from error


def failed(step: Step, error: Exception) -> ApiError:
    """The failure of a node, as the client sees it."""
    at = f"nodes.{step.name}"
    if isinstance(error, TimeoutError):
        limit = "" if step.timeout_seconds is None else f" within {step.timeout_seconds:g} seconds"
        return timed_out(f"node {step.name} gave no answer{limit}", at)
    if isinstance(error, ApiError):
        return ApiError(error.status, error.kind, f"node {step.name}: {error.message}", at, error.headers)
    if isinstance(error, TemplateError):
        return ApiError(500, "template_failed", f"node {step.name}: {error.message}", at)
    return failed_upstream(f"node {step.name} failed: {type(error).__name__}; its log has the cause", at)


def _step(node: StepSettings) -> Step:
    return Step(
        name=node.name,
        after=node.after,
        when=None if node.when is None else expression(node.when),
        input=_input(node),
        timeout_seconds=node.timeout_seconds,
        fallback=node.fallback,
    )


def _input(node: StepSettings) -> Callable[[Mapping[str, Any]], Any]:
    if node.messages is not None:
        return Messages(node.messages)
    return expression(node.input) if node.prompt is None else template(node.prompt)


def _in_order(steps: list[Step]) -> list[Step]:
    """The steps, each after all that it waits for. The operator has rejected cycles."""
    ordered: list[Step] = []
    placed: set[str] = set()
    while len(ordered) < len(steps):
        ready = [step for step in steps if step.name not in placed and placed.issuperset(step.after)]
        if not ready:
            raise ValueError("the nodes wait for each other, or for one that is not there")
        ordered.extend(ready)
        placed.update(step.name for step in ready)
    return ordered


def _compiled(output: Any) -> Any:
    if isinstance(output, dict):
        return {name: _compiled(value) for name, value in output.items()}
    if isinstance(output, list):
        return [_compiled(value) for value in output]
    return expression(output) if isinstance(output, str) else output


def _shaped(output: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(output, dict):
        return {name: _shaped(value, values) for name, value in output.items()}
    if isinstance(output, list):
        return [_shaped(value, values) for value in output]
    return evaluated(output, values, "output") if isinstance(output, Compiled) else output


def evaluated(asked: Compiled, values: Mapping[str, Any], at: str) -> Any:
    """What an expression of the answer gives; None if it needs a node that was skipped.

    Raises:
        ApiError: It fails.
    """
    try:
        return _plain(asked(values))
    except SkippedNodeError:
        return None
    except TemplateError as error:
        raise ApiError(500, "template_failed", f"{at}: {error.message}", at) from error


def _plain(value: Any) -> Any:
    """A value as JSON has it: a skipped node's result is null."""
    if isinstance(value, Skipped):
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _first(errors: BaseExceptionGroup[ApiError]) -> ApiError:
    inner = errors.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
