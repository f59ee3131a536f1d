"""The job that the runner reads from standard input."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Job(BaseModel):
    """One pipeline to serve on this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    serve_config: dict[str, Any]
    """What a RayService holds as serveConfigV2."""
    env: dict[str, str] = {}
    cpus: int = Field(ge=1)
    """Logical CPUs that Ray may hand out; they need not exist."""
    port: int = Field(ge=1, le=65535)
    tiny_models: bool = False
    check: bool = False

    @property
    def applications(self) -> list[dict[str, Any]]:
        """The applications of the Serve config."""
        return list(self.serve_config.get("applications", []))
