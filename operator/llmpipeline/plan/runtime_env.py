"""What Ray would refuse in a `runtimeEnv`: it says so only when the app is deployed, and then runs none of the apps."""

import re
from collections.abc import Iterator
from typing import Any, Final

from llmpipeline.api.apps import App
from llmpipeline.api.pipeline import Spec
from llmpipeline.problems import Path, Problem

# Ray uploads folders for jobs alone. Source: ray.serve.schema, and parse_uri of ray._common.runtime_env_uri.
_URI: Final = re.compile(
    r"(https?|s3|gs|azure|abfss|file)://[^\s\[\]]+|local:///(?!\S*\.(zip|whl|tgz|tar\.gz|tar\.xz)$)\S*", re.IGNORECASE
)
_REMOTE: Final = "give a URI that each Pod can reach, like https://... or s3://... of a zip file, or local:///a/folder"


def problems(spec: Spec) -> Iterator[Problem]:
    """All of them, each with the field that is to blame."""
    for a, app in enumerate(spec.apps):
        for path, given in _environments(app, ("spec", "apps", a)):
            yield from _environment((*path, "runtimeEnv"), given)


def _environments(app: App, here: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    if app.custom:
        yield (*here, "custom"), app.custom.runtime_env or {}
    if app.batch and app.batch.custom:
        yield (*here, "batch", "custom"), app.batch.custom.runtime_env or {}
    for n, node in enumerate(app.graph.nodes if app.graph else ()):
        if node.custom:
            yield (*here, "graph", "nodes", n, "custom"), node.custom.runtime_env or {}


def _environment(path: Path, given: dict[str, Any]) -> Iterator[Problem]:
    variables = given.get("env_vars", {})
    if not isinstance(variables, dict):
        yield Problem((*path, "env_vars"), "must be an object, from names to texts")
        variables = {}
    for name, value in variables.items():
        if not isinstance(value, str):
            yield Problem((*path, "env_vars", name), "an environment variable is a text", "put it in quotes")
    modules = given.get("py_modules", [])
    if not isinstance(modules, list):
        yield Problem((*path, "py_modules"), "must be a list of URIs")
        modules = []
    folders = [(("py_modules", index), module) for index, module in enumerate(modules)]
    for where, uri in [(("working_dir",), given.get("working_dir")), *folders]:
        if uri is not None and not (isinstance(uri, str) and _URI.fullmatch(uri)):
            yield Problem((*path, *where), "Ray Serve takes a URI here, and no path", _REMOTE)
