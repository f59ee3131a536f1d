"""The end of a replica that can no longer work: at once, and so that no request is cut off."""

import asyncio
import gc
import logging
import os
import threading
from typing import Final

import uvicorn

logger = logging.getLogger("ray.serve")

# So long the last answers have to get out. uvicorn looks ten times a second whether it should exit.
_LAST_ANSWERS_SECONDS: Final = 1.0
_ends: Final = threading.Event()


def end_soon(why: str) -> None:
    """End this process, so that Ray Serve sends no more requests here and starts another replica.

    Until its next health checks Serve would go on to send requests. With direct ingress HAProxy connects to a server in
    this process: that server stops listening first, as when Serve itself stops a replica, and HAProxy sends a request
    that finds no listener to another replica. Serve has no call for this, so the server is looked for.
    """
    if _ends.is_set():  # every request in flight says it, and looking for the server takes a moment
        return
    _ends.set()
    logger.error("%s: this replica ends", why)
    gc.unfreeze()  # vLLM takes what was there at its start out of what the collector knows
    # By type: `isinstance` would ask lazy proxies for their class, which warns.
    for server in (it for it in gc.get_objects() if issubclass(type(it), uvicorn.Server)):
        server.should_exit = True
    asyncio.get_running_loop().call_later(_LAST_ANSWERS_SECONDS, os._exit, 1)
