"""What all tests share: the option that writes the golden files, and who may be run again."""

import signal
from pathlib import Path
from typing import Final

import pytest

_HERE: Final = Path(__file__).parent
# Tests on real processes, of which some wait for what a loaded machine may not do in time. One that fails is run once
# more, and the summary names it (RERUN): that is a defect to look into, and no reason to stop everything.
_ON_REAL_PROCESSES: Final = ("apps", "control_plane", "e2e", "faults", "monitoring")


def pytest_configure() -> None:
    """Let Ctrl-C reach what the tests start. A script's `&` has it ignored, in all that is started below."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make golden`."""
    parser.addoption("--update-golden", action="store_true", help="write the expected manifests again")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those on real processes be run again."""
    for item in items:
        if item.path.is_relative_to(_HERE) and item.path.relative_to(_HERE).parts[0] in _ON_REAL_PROCESSES:
            item.add_marker(pytest.mark.flaky(reruns=1))
