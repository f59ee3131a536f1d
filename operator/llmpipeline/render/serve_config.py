"""The Serve config: the text in `serveConfigV2`, which KubeRay hands to Ray Serve as it is."""

import json
from typing import Any

from llmpipeline.names import SERVE_PORT
from llmpipeline.plan.types import Application, Plan


def serve_config(plan: Plan) -> dict[str, Any]:
    """The Serve config, in the shape of Ray's ServeDeploySchema."""
    return {
        "http_options": {"host": "0.0.0.0", "port": SERVE_PORT},
        "logging_config": {"encoding": "JSON"},
        "applications": [_application(app) for app in plan.applications],
    }


def serve_config_text(plan: Plan) -> str:
    """The Serve config as JSON, which is YAML too, one key a line so that a person can read it in the RayService.

    KubeRay compares this text as a string, and sends it to Ray again when it changed.
    """
    return json.dumps(serve_config(plan), indent=2, ensure_ascii=False) + "\n"


def _application(app: Application) -> dict[str, Any]:
    config: dict[str, Any] = {
        "name": app.name,
        "route_prefix": app.route_prefix,
        "import_path": app.import_path,
        "args": app.args,
    }
    if app.runtime_env:
        config["runtime_env"] = app.runtime_env
    if app.deployments:
        config["deployments"] = list(app.deployments)
    return config
