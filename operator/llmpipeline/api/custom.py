"""The `custom` app: the user's own code."""

from typing import Annotated, Any

from pydantic import Field

from llmpipeline.api.base import any_object, named_list
from llmpipeline.api.code import UserCode
from llmpipeline.api.defaults import CPU_MILLI
from llmpipeline.api.deployment import Deployment
from llmpipeline.api.kind import AppKind
from llmpipeline.api.name_types import ImportPath
from llmpipeline.api.run_code import run_code


class CustomDeployment(Deployment):
    """Settings for one deployment of a custom app."""

    name: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="The deployment's name in the app's code."
    )


class Custom(UserCode, AppKind):
    """A Serve app of your own. Its code must be in the Ray image or in the runtime environment."""

    import_path: ImportPath = Field(
        description="MODULE:NAME of a bound application, or of a function that builds one.",
        json_schema_extra=run_code("custom code"),
    )
    args: dict[str, Any] | None = any_object("Arguments for the function that builds the app.")
    deployments: tuple[CustomDeployment, ...] = named_list(
        "Settings for the app's deployments, by their name. They also say how much room the app "
        f"needs: an app that lists none gets room for one replica of {CPU_MILLI // 1000} CPU.",
        most=32,
    )
