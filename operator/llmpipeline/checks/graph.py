"""What `graph` apps get wrong: nodes that wait for each other, names that are not there, templates."""

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from llmpipeline.api.base import parts
from llmpipeline.api.graph import GenerateNode, Graph, Node
from llmpipeline.api.pipeline import Spec
from llmpipeline.plan.apps.graph import REQUEST, last_nodes, writers, writers_before
from llmpipeline.problems import Path, Problem
from llmpipeline_serve.contract.templates import TemplateRefusedError, names_in_expression, names_in_template

_RESERVED: Final = frozenset({
    REQUEST, "loop", "range", "true", "false", "none", "not", "and", "or", "in", "is", "if", "else",
})  # fmt: skip
# Where in a node a template or expression stands, the text of it, and what finds the names in it.
_Asking = tuple[Path, str, Callable[[str], frozenset[str]]]
_NO_NODE: Final = "there is no node {}"


def problems(spec: Spec) -> Iterator[Problem]:
    """Everything that keeps graphs from working, each with the field that is to blame."""
    for graph in parts(spec, Graph, ("spec",)):
        yield from _of_graph(graph.value, graph.at)


def _of_graph(graph: Graph, path: Path) -> Iterator[Problem]:
    known = {node.name: node for node in graph.nodes}
    structural = list(_structural(graph.nodes, known, path))
    yield from structural
    if structural:
        return
    before = {name: _before(name, known) for name in known}
    for index, node in enumerate(graph.nodes):
        yield from _node_templates(node, graph.nodes, before[node.name], (*path, "nodes", index))
    used: set[str] = set()
    unsound = list(_chat(graph, known, (*path, "chat"), used))
    if graph.output is None:
        yield from unsound
        return
    unsound += _output(graph.output, known, (*path, "output"), used)
    yield from unsound
    if unsound:
        return
    reached = used.union(*(before[name] for name in used))
    for index, node in enumerate(graph.nodes):
        if node.name not in reached:
            message = f"nothing uses the result of {node.name}"
            yield Problem((*path, "nodes", index, "name"), message, "use it in output, or leave the node out")


def _structural(nodes: Sequence[Node], known: Mapping[str, Node], path: Path) -> Iterator[Problem]:
    for index, node in enumerate(nodes):
        here = (*path, "nodes", index)
        if node.name in _RESERVED:
            yield Problem((*here, "name"), f"{node.name} means something else in templates", "give another name")
        for position, name in enumerate(node.after):
            if name not in known:
                names = ", ".join(known)
                yield Problem((*here, "after", position), f"there is no node {name}", f"there are: {names}")
    for cycle in _cycles(known):
        index = next(i for i, node in enumerate(nodes) if node.name == cycle[0])
        message = f"the nodes wait for each other: {' after '.join((*cycle, cycle[0]))}"
        yield Problem((*path, "nodes", index, "after"), message, "take one of them out of an after")


def _cycles(known: Mapping[str, Node]) -> Iterator[list[str]]:
    """Each cycle once, told from the first of its nodes."""
    told: set[frozenset[str]] = set()
    for start in known:
        walk = _way_back(start, known)
        if walk and frozenset(walk) not in told:
            told.add(frozenset(walk))
            yield walk


def _way_back(start: str, known: Mapping[str, Node]) -> list[str] | None:
    """A shortest way from a node, by `after`, to itself."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for name in known[way[-1]].after:
            if name == start:
                return way
            if name in known and name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return None


def _before(name: str, known: Mapping[str, Node]) -> frozenset[str]:
    """The nodes that are done before this one starts."""
    found: set[str] = set()
    waiting = list(known[name].after)
    while waiting:
        other = waiting.pop()
        if other not in found:
            found.add(other)
            waiting.extend(known[other].after)
    return frozenset(found)


def _node_templates(node: Node, nodes: Sequence[Node], before: frozenset[str], here: Path) -> Iterator[Problem]:
    sources: list[_Asking] = []
    if node.when is not None:
        sources.append((("when",), node.when, names_in_expression))
    if node.generate:
        sources += _asked(node.generate)
        if node.input is not None:
            message = "a generate node works on its prompt or messages"
            yield Problem((*here, "input"), message, "put it into generate.prompt or generate.messages")
    elif node.input is not None:
        sources.append((("input",), node.input, names_in_expression))
    elif not (node.http or node.custom) and len(writers := writers_before(node, nodes)) > 1:
        message = f"{node.name} comes after several nodes that make texts: {', '.join(writers)}"
        yield Problem((*here, "input"), message, f"say which, like: {writers[0]}.text")
    for where, source, names in sources:
        says = f"{node.name} does not come after {{}}"
        yield from _unknown(source, names, (before, [other.name for other in nodes]), (*here, *where), says)


def _asked(generate: GenerateNode) -> Iterator[_Asking]:
    """What makes the question that a model gets."""
    if generate.prompt is not None:
        yield ("generate", "prompt"), generate.prompt, names_in_template
    for index, message in enumerate(generate.messages or ()):
        at = ("generate", "messages", index)
        if message.content is not None:
            yield (*at, "content"), message.content, names_in_template
        if message.conversation is not None:
            yield (*at, "conversation"), message.conversation, names_in_expression


def _output(output: Any, known: Mapping[str, Node], here: Path, used: set[str]) -> Iterator[Problem]:
    """The problems of the output's expressions; the nodes that they name are added to `used`."""
    if isinstance(output, dict):
        for name, value in output.items():
            yield from _output(value, known, (*here, name), used)
    elif isinstance(output, list):
        for index, value in enumerate(output):
            yield from _output(value, known, (*here, index), used)
    elif isinstance(output, str):
        found = list(_unknown(output, names_in_expression, (known, known), here, _NO_NODE))
        yield from found
        if not found:
            used |= names_in_expression(output) & known.keys()


def _chat(graph: Graph, known: Mapping[str, Node], here: Path, used: set[str]) -> Iterator[Problem]:
    """The problems of the chat's answer; the nodes that it names are added to `used`."""
    if graph.chat is None:
        return
    last = last_nodes(graph.nodes)
    if graph.chat.answer is not None:
        yield from _output(graph.chat.answer, known, (*here, "answer"), used)
    elif len(last) > 1:
        names = ", ".join(node.name for node in last)
        message = f"no other node comes after {names}, so the answer could be the text of each"
        yield Problem((*here, "answer"), message, f"say which, like: {last[0].name}.text")
    elif last and not (last[0].custom or last[0].name in writers(graph.nodes)):
        message = f"the last node, {last[0].name}, makes no text"
        yield Problem((*here, "answer"), message, "give an expression for the text of the answer")
    else:
        used |= {node.name for node in last}


def _unknown(
    source: str,
    names: Callable[[str], frozenset[str]],
    nodes: tuple[Collection[str], Collection[str]],
    path: Path,
    says: str,
) -> Iterator[Problem]:
    """Names in a template that it cannot have: of the nodes it may use the first, and the second are all."""
    allowed, all_nodes = nodes
    try:
        asked = names(source)
    except TemplateRefusedError as error:
        yield Problem(path, str(error))
        return
    for name in sorted(asked - {REQUEST, *allowed}):
        message = (says if name in all_nodes else _NO_NODE).format(name)
        close = difflib.get_close_matches(name, (REQUEST, *allowed), n=1) if name not in all_nodes else ()
        known = f"known here: {', '.join((REQUEST, *sorted(allowed)))}"
        yield Problem(path, message, f"did you mean {close[0]}?" if close else known)
