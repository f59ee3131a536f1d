"""Completion in a shell prints nothing but what it found: anything else would stand in the line that is typed."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silence() -> Iterator[None]:
    """Nothing comes out of standard error, not even of a program that a kubeconfig names for the login."""
    logging.disable()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
        logging.disable(logging.NOTSET)
