"""The `operator` command: logging, and the ways in which starting can fail."""

import asyncio
import logging
import sys
from collections.abc import Sequence

from aiohttp import ClientError
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config.config_exception import ConfigException

from llmpipeline import names
from llmpipeline.cluster import Rejected
from llmpipeline.controller.lease import LeaseLostError
from llmpipeline.controller.watch import run_operator


def run(namespaces: Sequence[str], *, lease_namespace: str, health_port: int, verbose: bool) -> str:
    """Runs the operator until it is told to stop. Returns why it could not start, or nothing."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if not verbose:
        for noisy in ("kopf", "aiohttp", "kubernetes"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        asyncio.run(run_operator(namespaces, lease_namespace=lease_namespace, health_port=health_port))
    except ConfigException as error:
        return f"no cluster to connect to: {error}; set KUBECONFIG"
    except Rejected as rejected:
        if rejected.status == 404:
            return f"the cluster does not know {names.PLURAL}.{names.GROUP}; apply manifests/crds first"
        return f"the cluster refuses: {rejected}"
    except LeaseLostError as error:
        return f"{error}: another operator may work now; this one ends"
    except (ClientError, ApiException, OSError) as error:
        return f"the cluster cannot be reached: {(str(error) or type(error).__name__).splitlines()[0]}"
    return ""
