"""Code of the author's own, which the Ray Pods run."""

from typing import Any

from pydantic import Field

from llmpipeline.api.base import Model, any_object
from llmpipeline.api.name_types import ImportPath
from llmpipeline.api.run_code import run_code


class UserCode(Model):
    """Code of your own. It must be in the Ray image or in the runtime environment."""

    import_path: ImportPath = Field(
        description="MODULE:NAME of a function, or of a class whose instances are callable.",
        json_schema_extra=run_code("custom code"),
    )
    runtime_env: dict[str, Any] | None = any_object(
        "Ray's runtime environment for the app, like {env_vars: {A: b}} or {working_dir: URI of a zip file}."
    )
