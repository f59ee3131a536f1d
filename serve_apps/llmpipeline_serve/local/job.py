"""The job that the runner reads from standard input."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Application(BaseModel):
    """What the runner itself needs to know of an application; the rest is Serve's to read."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    import_path: str
    route_prefix: str = "/"
    args: dict[str, Any] | None = None


class ServeConfig(BaseModel):
    """What a RayService holds as serveConfigV2."""

    model_config = ConfigDict(extra="allow", frozen=True)

    applications: list[Application] = Field(min_length=1)


class Job(BaseModel):
    """One pipeline to serve on this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    serve_config: ServeConfig
    cpus: int = Field(ge=1)
    """Logical CPUs that Ray may hand out; they need not exist."""
    port: int = Field(ge=1, le=65535)
    tiny_models: bool = False
    check: bool = False
    timeout: int = Field(default=0, ge=0)
    """Seconds until every app must run, from the start; 0: no limit."""
    variables: dict[str, str] = {}
    """Environment variables of Ray and all below it, as the Ray Pods have them."""

    @property
    def serve_dict(self) -> dict[str, Any]:
        """The Serve config exactly as it was given."""
        return self.serve_config.model_dump(exclude_unset=True)
