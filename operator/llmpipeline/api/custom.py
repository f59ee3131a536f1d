"""The `custom` app: the user's own code."""

from typing import Annotated, Any

from pydantic import Field

from llmpipeline.api.deployment import Deployment
from llmpipeline.api.model import Model, any_object, named_list
from llmpipeline.api.names import ImportPath


class CustomDeployment(Deployment):
    """Settings for one deployment of a custom app."""

    name: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="The deployment's name in the app's code."
    )


class Custom(Model):
    """A Serve app of your own. Its code must be in the Ray image or in the runtime environment."""

    import_path: ImportPath = Field(
        description="Where the app is: MODULE:NAME of a bound application or of a function that builds one."
    )
    args: dict[str, Any] | None = any_object("Arguments for the function that builds the app.")
    runtime_env: dict[str, Any] | None = any_object(
        "Ray's runtime environment for the app, like {env_vars: {A: b}} or {working_dir: URI of a zip file}."
    )
    deployments: tuple[CustomDeployment, ...] = named_list(
        "Settings for the app's deployments, by their name. They also tell how much room the app needs: a custom app "
        "that lists none is given room for one replica of one CPU.",
        most=32,
    )
