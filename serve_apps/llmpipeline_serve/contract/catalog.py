"""The bundled apps, each with its import path and what it takes. One entry makes an app known to all who ask here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from llmpipeline_serve.contract import batch, generate, graph, hello, traffic_split
from llmpipeline_serve.contract.base import AppArgs


@dataclass(frozen=True, slots=True)
class BundledApp:
    """One bundled app.

    Attributes:
        import_path: What a Serve config names. A change restarts every replica of every user.
        args: Its arguments.
        settings: The `user_config` of its deployment, which Serve hands to running replicas; None if it takes none.
    """

    import_path: str
    args: type[AppArgs]
    settings: type[AppArgs] | None = None


_APPS: Final = (
    BundledApp(hello.IMPORT_PATH, hello.HelloArgs),
    BundledApp(generate.IMPORT_PATH, generate.GenerateArgs),
    BundledApp(graph.IMPORT_PATH, graph.GraphArgs),
    BundledApp(batch.IMPORT_PATH, batch.BatchArgs, batch.BatchSettings),
    BundledApp(traffic_split.IMPORT_PATH, traffic_split.SplitArgs, traffic_split.Settings),
)
APPS: Final[Mapping[str, BundledApp]] = {app.import_path: app for app in _APPS}
