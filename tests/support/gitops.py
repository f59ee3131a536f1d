"""How GitOps tools judge a pipeline: by kstatus itself, by Flux's expressions, and by our health check for Argo CD."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any, Final

from lupa import lua51

from support.control_plane.assets import KSTATUS, build_once
from support.pipelines import Document
from support.repository import ROOT

HEALTH_CHECK: Final = ROOT / "manifests" / "gitops" / "argocd-health.lua"
# Argo CD gives a health check the base functions, tables and a part of `os`, which ours needs least of all.
_NOT_GIVEN: Final = ("string", "math", "io", "os", "debug", "coroutine", "python")


def kstatus(documents: Sequence[Document], expressions: dict[str, str] | None = None) -> list[str]:
    """The status of each pipeline, as Helm 4 and Flux find it; or as Flux does with an entry of healthCheckExprs."""
    command = [str(build_once(KSTATUS)), *([json.dumps(expressions)] if expressions else [])]
    text = "\n".join(map(json.dumps, documents))
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=60)
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def argo_cd(document: Document) -> tuple[str, str]:
    """The health and its message, by the check in a Lua as Argo CD has it: version 5.1, and null is nil."""
    lua = lua51.LuaRuntime(register_eval=False)
    for name in _NOT_GIVEN:
        lua.globals()[name] = None
    lua.globals().obj = lua.table_from(document, recursive=True)
    said: Any = lua.execute(HEALTH_CHECK.read_text())
    return said.status, said.message
