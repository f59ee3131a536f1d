"""What one HTTP request to an app may take."""

from pydantic import Field

from llmpipeline.api.deployment import Deployment, PositiveSeconds
from llmpipeline.api.quantity import Quantity


class HttpDeployment(Deployment):
    """A deployment of ours that takes HTTP requests itself."""

    timeout_seconds: PositiveSeconds | None = Field(
        default=None, description="A request that takes longer is answered 504. Default 60; generate 600."
    )
    max_body_size: Quantity | None = Field(
        default=None, description="A request with a longer body is answered 413. Default 4Mi."
    )
    log_prompts: bool = Field(default=False, description="Whether the texts of requests may be in the logs.")
