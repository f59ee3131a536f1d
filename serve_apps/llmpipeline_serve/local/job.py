"""The job that the runner reads from standard input."""

from ipaddress import IPv4Address
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

# Of a ConfigMap and of its keys: never the way out of a folder.
NAME: Final = r"^[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"


class Application(BaseModel):
    """What the runner itself needs to know of an application; the rest is Serve's to read."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    import_path: str
    route_prefix: str = "/"
    args: dict[str, Any] | None = None
    deployments: list[dict[str, Any]] = []


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
    host: IPv4Address = IPv4Address("127.0.0.1")
    """The address to listen on; in a container 0.0.0.0, or no port of it can be published."""
    port: int = Field(ge=1, le=65535)
    tiny_models: bool = False
    check: bool = False
    timeout: int = Field(default=0, ge=0)
    """Seconds until every app must run, from the start; 0: no limit."""
    code_folders: list[str] = []
    """Folders of Python modules, besides the current one."""
    code: dict[Annotated[str, Field(pattern=NAME)], dict[Annotated[str, Field(pattern=NAME)], str]] = {}
    """Files by the ConfigMap that a cluster would mount, and by their names."""
    variables: dict[str, str] = {}
    """Environment variables of Ray and all below it, as the Ray Pods have them."""

    @property
    def url(self) -> str:
        """Where this machine itself reaches the apps."""
        host = "127.0.0.1" if self.host.is_unspecified else self.host
        return f"http://{host}:{self.port}"

    @property
    def serve_dict(self) -> dict[str, Any]:
        """The Serve config exactly as it was given."""
        return self.serve_config.model_dump(exclude_unset=True)
