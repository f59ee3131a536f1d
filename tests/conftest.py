"""What all tests share: the option that writes the golden files, who may be run again, and who runs beside whom."""

import signal
from pathlib import Path
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

from support import summary

_HERE: Final = Path(__file__).parent
# Tests on real processes, of which some wait for what a loaded machine may not do in time. One that fails is run once
# more, and the summary names it (RERUN): that is a defect to look into, and no reason to stop everything.
_ON_REAL_PROCESSES: Final = ("apps", "control_plane", "e2e", "faults", "monitoring")
# Folders of which one test process runs all: two Rays do not fit beside one another on a machine, and there is one
# cluster.
_TOGETHER: Final = {"apps": "ray", "monitoring": "ray", "e2e": "e2e"}


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


class _Scheduling(LoadScopeScheduling):
    """Which tests stay together in one test process: those of a file, on Ray, or on the cluster of tests/e2e."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.split("/")[1]
        return _TOGETHER.get(folder, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Take the groups from where tests are: pytest-xdist 3.8 loses those of its marks with pytest 9.2."""
    return _Scheduling(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send what this test process has to say to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["summary"] = summary.LINES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a test process says at its end."""
    for line in getattr(node, "workeroutput", {}).get("summary", []):
        summary.say(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured, and whose RayService they were about: with the stand-in they prove less."""
    for line in summary.LINES:
        terminalreporter.write_line(line)
