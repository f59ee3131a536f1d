"""The Serve config: the text in `serveConfigV2`, which Ray Serve gets as it is."""

import json
from typing import Any

from llmpipeline.names import SERVE_PORT
from llmpipeline.plan.apps.application import Application
from llmpipeline.plan.plan import Plan


def serve_config(plan: Plan) -> dict[str, Any]:
    """The Serve config, in the shape of Ray's ServeDeploySchema."""
    return {
        "http_options": {"host": "0.0.0.0", "port": SERVE_PORT},
        "logging_config": {"encoding": "JSON"},
        "applications": [_application(app) for app in plan.applications],
    }


def serve_config_text(plan: Plan) -> str:
    """The Serve config as JSON, which is YAML too, one key a line so that a person can read it in the RayService.

    The text is compared as a string (`kuberay`), so the same plan must give the same one.
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
