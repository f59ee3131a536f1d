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
        settings: The `user_config` of the deployment that takes its requests, which Serve hands to running replicas;
            None if it takes none.
    """

    import_path: str
    args: type[AppArgs]
    settings: type[AppArgs] | None = None

    def settings_of(self, args: AppArgs, deployment: str) -> type[AppArgs] | None:
        """The `user_config` of one of its deployments; None if that takes none."""
        if isinstance(args, graph.GraphArgs) and deployment != graph.INGRESS:
            return args.settings_of(deployment)
        return self.settings


_APPS: Final = (
    BundledApp(hello.IMPORT_PATH, hello.HelloArgs, hello.HelloSettings),
    BundledApp(generate.IMPORT_PATH, generate.GenerateArgs, generate.GenerateSettings),
    BundledApp(graph.IMPORT_PATH, graph.GraphArgs, graph.GraphSettings),
    BundledApp(batch.IMPORT_PATH, batch.BatchArgs, batch.BatchSettings),
    BundledApp(traffic_split.IMPORT_PATH, traffic_split.SplitArgs, traffic_split.Settings),
)
APPS: Final[Mapping[str, BundledApp]] = {app.import_path: app for app in _APPS}
