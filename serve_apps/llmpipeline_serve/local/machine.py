"""This machine, as far as a Serve config is adapted to it."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import NamedTuple


class Machine(NamedTuple):
    """What the Serve config is adapted to."""

    host: IPv4Address
    port: int
    gpus: float
    haproxy: bool
    """Whether Serve's proxy here is HAProxy, as it is in a cluster."""
    tiny_models: Mapping[str, str] | None
    """The folders of the models that stand in for every model, by kind of work."""
    code_folder: str = ""
    """Where the code of ConfigMaps is."""
