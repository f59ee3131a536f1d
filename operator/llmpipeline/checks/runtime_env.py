"""What Ray would reject in a `runtimeEnv`: it does so only when it deploys the app, and then runs none of the apps."""

import re
from collections.abc import Iterator
from typing import Any, Final

from llmpipeline.api.base import parts
from llmpipeline.api.code import UserCode
from llmpipeline.api.pipeline import Spec
from llmpipeline.problems import Path, Problem

# Ray uploads folders for jobs alone. Source: ray.serve.schema, and parse_uri of ray._common.runtime_env_uri.
_URI: Final = re.compile(
    r"(https?|s3|gs|azure|abfss|file)://[^\s\[\]]+|local:///(?!\S*\.(zip|whl|tgz|tar\.gz|tar\.xz)$)\S*", re.IGNORECASE
)
_REMOTE: Final = "give a URI that each Pod can reach, like https://... or s3://... of a zip file, or local:///a/folder"


def problems(spec: Spec) -> Iterator[Problem]:
    """All of them, each with the field that is to blame."""
    for code in parts(spec, UserCode, ("spec",)):
        yield from _environment((*code.at, "runtimeEnv"), code.value.runtime_env or {})


def _environment(path: Path, given: dict[str, Any]) -> Iterator[Problem]:
    variables = given.get("env_vars", {})
    if not isinstance(variables, dict):
        yield Problem((*path, "env_vars"), "must be an object of strings")
        variables = {}
    for name, value in variables.items():
        if not isinstance(value, str):
            yield Problem((*path, "env_vars", name), "an environment variable must be a string", "put it in quotes")
    modules = given.get("py_modules", [])
    if not isinstance(modules, list):
        yield Problem((*path, "py_modules"), "must be a list of URIs")
        modules = []
    folders = [(("py_modules", index), module) for index, module in enumerate(modules)]
    for where, uri in [(("working_dir",), given.get("working_dir")), *folders]:
        if uri is not None and not (isinstance(uri, str) and _URI.fullmatch(uri)):
            yield Problem((*path, *where), "Ray Serve takes only a URI here, not a path", _REMOTE)
