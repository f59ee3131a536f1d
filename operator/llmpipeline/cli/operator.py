"""The `operator` command: logging, and the ways in which starting can fail."""

import asyncio
import logging
import sys
from collections.abc import Sequence

import click

from llmpipeline import names
from llmpipeline.cli.connection import require, why
from llmpipeline.cli.options import PLATFORM, UNREACHABLE, command, fail
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.render.platform import Platform


@command(
    "llmpipeline operator",
    "llmpipeline operator --namespace ml --namespace search",
    "llmpipeline operator --lease-namespace llmpipeline-system --health-port 8080",
)
@click.option("--namespace", "namespaces", multiple=True, help="Watch this namespace only. May be given several times.")
@click.option(
    "--lease-namespace",
    default="",
    metavar="NAMESPACE",
    help="Elect a leader among several replicas, by a Lease in NAMESPACE. Default: no election.",
)
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Answer /healthz, /readyz and /metrics on this port. Default: on none.",
)
@PLATFORM
@click.option("--verbose", is_flag=True, help="Log what kopf and the client do, too.")
def operator(
    namespaces: tuple[str, ...], lease_namespace: str, health_port: int, platform: Platform, verbose: bool
) -> None:
    """Run the operator: turn every LLMPipeline into a RayService, and keep it so.

    The cluster is the one of the kubeconfig (KUBECONFIG) or, in a Pod, its own.
    """
    require("operator", "the operator", "kubernetes", "aiohttp", "google", "kopf", "prometheus_client")
    problem = run(namespaces, platform, lease_namespace=lease_namespace, health_port=health_port, verbose=verbose)
    if problem:
        fail(problem, UNREACHABLE)


def run(namespaces: Sequence[str], platform: Platform, *, lease_namespace: str, health_port: int, verbose: bool) -> str:
    """Runs the operator until it is asked to stop. Returns why it could not start, or nothing."""
    from llmpipeline.cluster.lease import LeaseLostError
    from llmpipeline.controller.process import run_operator

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if not verbose:
        for noisy in ("kopf", "aiohttp", "kubernetes"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        asyncio.run(run_operator(namespaces, platform, lease_namespace=lease_namespace, health_port=health_port))
    except RequestRejected as rejected:
        if rejected.status == 404:
            return f"the cluster does not know {names.PLURAL}.{names.GROUP}; apply manifests/crds first"
        return why(rejected)
    except (Unreachable, TimeoutError) as error:
        return why(error)
    except LeaseLostError as error:
        return f"{error}: another operator may be the leader now; this one exits"
    except OSError as error:
        return f"the operator cannot start: {error}"
    return ""
