"""Which cluster is meant: the kubeconfig (KUBECONFIG, ~/.kube/config) or, in a Pod, its service account.

The files are looked at before the client reads them. It takes a list of files for the name of one when it looks
whether there is any, and ends in a traceback if one is not what it expects.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from llmpipeline.cluster.errors import Unreachable

_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_IN_A_POD: Final = "KUBERNETES_SERVICE_HOST"
_LISTS: Final = ("clusters", "contexts", "users")
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCHEMES: Final = ("http://", "https://")


def default_namespace(context: str | None = None) -> str:
    """The namespace that kubectl would take: that of the kubeconfig's context, or in a Pod its own; else `default`."""
    found = _existing()
    if not found:
        return _POD_NAMESPACE.read_text() if _POD_NAMESPACE.exists() else "default"
    known, current = _contexts(found)
    return str(known.get(context or current, {}).get("namespace") or "default")


def contexts() -> list[str]:
    """The names of the contexts; none if the kubeconfig cannot be read."""
    return list(_contexts(_existing())[0])


async def load(configuration: Configuration, context: str | None) -> None:
    """Fills in the address and the credentials.

    Args:
        configuration: What is filled in.
        context: That of the kubeconfig; None: the current one, or in a Pod the service account.

    Raises:
        Unreachable: There is no kubeconfig, or it cannot be used.
    """
    found = _existing()
    if not found and not context and os.environ.get(_IN_A_POD):
        _load_of_pod(configuration)
        return
    if not found:
        missing = " and ".join(_named())
        raise Unreachable(f"no cluster to connect to: {missing} does not exist; set KUBECONFIG or pass --kubeconfig")
    for file in found:
        if fault := _fault(file):
            raise Unreachable(f"no cluster to connect to: the kubeconfig {file} {fault}")
    shown = ", ".join(found)
    with _warnings_of_the_client() as said:
        try:
            await load_kube_config(
                client_configuration=configuration,
                config_file=os.pathsep.join(found),
                context=context or _contexts(found)[1] or None,
            )
        except ConfigException as error:
            raise Unreachable(f"no cluster to connect to: the kubeconfig {shown}: {_plain(error)}") from error
        except Exception as error:  # the client takes what is in the file for granted
            reason = f"cannot be used: {type(error).__name__}: {_plain(error)}"
            raise Unreachable(f"no cluster to connect to: the kubeconfig {shown} {reason}") from error
    # Without its credentials the client would go on, and be rejected for a reason that names no cause.
    if said:
        raise Unreachable(f"no cluster to connect to: the login of the kubeconfig {shown} fails: {said[0]}")
    if not str(configuration.host).startswith(_SCHEMES):
        wrong = f"the server {configuration.host!r} of the kubeconfig {shown} must begin with https://"
        raise Unreachable(f"no cluster to connect to: {wrong}")


def _load_of_pod(configuration: Configuration) -> None:
    try:
        load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError) as error:
        raise Unreachable(f"no cluster to connect to: the service account of this Pod: {_plain(error)}") from error


def _named() -> list[str]:
    """The files that KUBECONFIG names; as kubectl does, those that do not exist are passed over."""
    given = os.environ.get("KUBECONFIG") or "~/.kube/config"
    return [str(Path(file).expanduser()) for file in given.split(os.pathsep) if file] or [given]


def _existing() -> list[str]:
    return [file for file in _named() if os.path.exists(file)]  # noqa: PTH110  # Path.exists raises on a name too long


def _contexts(files: list[str]) -> tuple[dict[str, dict[str, Any]], str]:
    """The contexts by name, and the name of the current one: as kubectl does, the first file that has it counts.

    What is wrong with a file, connecting says.
    """
    known: dict[str, dict[str, Any]] = {}
    current = ""
    for file in files:
        if not _fault(file):
            content = yaml.load(Path(file).read_text(), _LOADER)
            for item in content.get("contexts") or ():
                known.setdefault(item["name"], item.get("context") or {})
            current = current or str(content.get("current-context") or "")
    return known, current


def _fault(file: str) -> str:
    """What is wrong with a file before the client reads it; empty: nothing that is seen here."""
    try:
        content = yaml.load(Path(file).read_text(), _LOADER)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError):
        return "is not YAML"
    if not isinstance(content, dict):
        return "is empty" if content is None else "is not an object with clusters, contexts and users"
    for name in _LISTS:
        items = content.get(name) or []
        if not isinstance(items, list) or not all(
            isinstance(it, dict) and isinstance(it.get("name"), str) for it in items
        ):
            return f"is malformed: {name} must be a list of objects with a name"
        inner = name.removesuffix("s")
        if not all(isinstance(it.get(inner) or {}, dict) for it in items):
            return f"is malformed: the field {inner} in {name} must be an object"
    return ""


@contextmanager
def _warnings_of_the_client() -> Iterator[list[str]]:
    """What the client logs as an error while it loads credentials, instead of printing it; it raises nothing then."""
    said: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                said.append(" ".join(record.getMessage().split()))

    logger, collector = logging.getLogger("kubernetes"), Collector()
    before, logger.propagate = logger.propagate, False
    logger.addHandler(collector)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield said
    finally:
        logger.removeHandler(collector)
        logger.propagate = before


def _plain(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
