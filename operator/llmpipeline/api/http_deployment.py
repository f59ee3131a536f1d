"""What one HTTP request to an app may take."""

from pydantic import Field

from llmpipeline.api.deployment import Deployment, PositiveSeconds
from llmpipeline.api.quantity import Quantity
from llmpipeline_serve.contract.base import MEBIBYTE, Limits
from llmpipeline_serve.contract.generate import GenerateLimits


class HttpDeployment(Deployment):
    """A bundled deployment that takes HTTP requests itself."""

    timeout_seconds: PositiveSeconds | None = Field(
        default=None,
        description=f"A request that takes longer is answered with 504. Default {Limits().timeout_seconds}; "
        f"generate {GenerateLimits().timeout_seconds}.",
    )
    max_body_size: Quantity | None = Field(
        default=None,
        description="A request with a larger body is answered with 413. Default "
        f"{Limits().max_body_bytes // MEBIBYTE}Mi.",
    )
    log_prompts: bool = Field(default=False, description="Whether the logs may contain the texts of requests.")
