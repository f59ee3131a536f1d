"""The runner's other decisions: its job, its environment, and what it makes of Serve's words."""

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from llmpipeline_serve.contract.hello import HelloArgs
from llmpipeline_serve.local import __main__ as runner
from llmpipeline_serve.local import system_libraries
from llmpipeline_serve.local.environment import environment
from llmpipeline_serve.local.errors import RunnerError
from llmpipeline_serve.local.failure import reason
from llmpipeline_serve.local.job import Job
from llmpipeline_serve.local.progress import describe, waiting_for

SERVE_CONFIG: dict[str, Any] = {
    "http_options": {"port": 8000},
    "applications": [{"name": "a", "import_path": "a:b", "args": {"x": None}}],
}


def job(**changed: Any) -> Job:
    return Job.model_validate({"name": "demo", "serve_config": SERVE_CONFIG, "cpus": 8, "port": 8000} | changed)


def test_the_serve_config_stays_as_given() -> None:
    assert job().serve_dict == SERVE_CONFIG


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpus": 0},
        {"port": 70000},
        {"unknown": 1},
        {"env": {}},
        {"serve_config": {}},
        {"serve_config": {"applications": [{}]}},
    ],
)
def test_a_wrong_job(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        job(**wrong)


def test_args_name_a_wrong_key() -> None:
    with pytest.raises(ValidationError, match="mesage"):
        HelloArgs.model_validate({"mesage": "typo"})


def test_the_environment_is_this_ray_alone() -> None:
    inherited = {"RAY_ADDRESS": "10.0.0.1:6379", "RAY_SERVE_X": "1", "RAY_AUTH_TOKEN_PATH": "/t", "PATH": "/bin"}
    found = environment(job(), inherited, Path("/f"), token="secret")
    assert found.keys() & inherited.keys() == {"PATH"}
    assert (found["RAY_AUTH_MODE"], found["RAY_AUTH_TOKEN"]) == ("token", "secret")
    assert "HF_HUB_OFFLINE" not in found


def test_the_jobs_variables_are_set_and_ours_win() -> None:
    given = {"RAY_SERVE_TRACING_SAMPLING_RATIO": "1", "RAY_AUTH_MODE": "none"}
    found = environment(job(variables=given), {}, Path("/f"), "t")
    assert (found["RAY_SERVE_TRACING_SAMPLING_RATIO"], found["RAY_AUTH_MODE"]) == ("1", "token")


def test_tiny_models_download_nothing() -> None:
    assert environment(job(tiny_models=True), {}, Path("/f"), "t")["HF_HUB_OFFLINE"] == "1"


def test_bytecode_that_may_not_be_written_goes_where_it_is_removed() -> None:
    found = environment(job(), {"PYTHONDONTWRITEBYTECODE": "1"}, Path("/f"), "t")
    assert "PYTHONDONTWRITEBYTECODE" not in found
    assert found["PYTHONPYCACHEPREFIX"] == "/f/pycache"


TRACEBACK = """Deploying app 'mine' failed with exception:
Traceback (most recent call last):
  File "application_state.py", line 1, in build_serve_application
    app = call_user_app_builder_with_args_if_necessary(
ModuleNotFoundError: No module named 'my_app'
"""
PYDANTIC = """\x1b[36mray::build()\x1b[39m
pydantic_core._pydantic_core.ValidationError: 1 validation error for HelloArgs
mesage
  Extra inputs are not permitted [type=extra_forbidden, input_value='x', input_type=str]
    For further information visit https://errors.pydantic.dev/2.14/v/extra_forbidden
"""
PYDANTIC_REASON = (
    "pydantic_core._pydantic_core.ValidationError: 1 validation error for HelloArgs mesage "
    "Extra inputs are not permitted [type=extra_forbidden, input_value='x', input_type=str]"
)
CAUSED = """ValueError: low

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "x.py", line 1, in y
RuntimeError: high
"""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (TRACEBACK, "ModuleNotFoundError: No module named 'my_app'"),
        (PYDANTIC, PYDANTIC_REASON),
        (CAUSED, "RuntimeError: high"),
        ("The deployments ['A']\nare UNHEALTHY.", "The deployments ['A'] are UNHEALTHY."),
        ("", ""),
    ],
)
def test_the_reason_in_a_message(message: str, expected: str) -> None:
    assert reason(message) == expected


def app(status: str, **deployments: tuple[str, list[str], str]) -> dict[str, Any]:
    """An app as Serve tells of it: per deployment its status, the states of its replicas, and a message."""
    return {
        "name": "chat",
        "status": status,
        "deployments": {
            name: {
                "name": name,
                "status": state,
                "target_num_replicas": 2,
                "replicas": [{"state": replica} for replica in replicas],
                "message": message,
            }
            for name, (state, replicas, message) in deployments.items()
        },
    }


def test_a_library_that_no_wheel_brings_is_named_before_an_engine_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(system_libraries.ctypes, "CDLL", missing)
    with pytest.raises(RunnerError, match=r"needs libnuma\.so\.1, .*: apt-get install libnuma1") as raised:
        system_libraries.require_for_cpu_engine()
    assert raised.value.exit_code == 3


def test_tiny_models_where_they_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in the image without vLLM, where the runner itself must start."""
    for name in [name for name in sys.modules if name.startswith("llmpipeline_serve.local.tiny")]:
        monkeypatch.delitem(sys.modules, name)
    for name in {"safetensors", *(name for name in sys.modules if name.startswith("safetensors."))}:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RunnerError, match=r"tiny models need safetensors.*, .*use the image whose tag ends in -cpu"):
        runner._tiny_models(tmp_path)


def test_progress_counts_replicas() -> None:
    deploying = app(
        "DEPLOYING", LLM=("UPDATING", ["RUNNING", "STARTING"], ""), Ingress=("HEALTHY", ["RUNNING"] * 2, "")
    )
    assert describe(deploying) == "chat  DEPLOYING  LLM 1/2 replicas, Ingress 2/2 replicas"
    assert describe(app("DEPLOYING")) == "chat  DEPLOYING"


def test_progress_says_what_it_waits_for() -> None:
    deploying = app("DEPLOYING", LLM=("UPDATING", ["STARTING"], "too few CPUs"), Ingress=("HEALTHY", [], ""))
    assert waiting_for({"chat": deploying}) == ["waiting for chat: LLM (STARTING): too few CPUs"]
    assert waiting_for({"chat": app("DEPLOYING")}) == ["waiting for chat: its code is being imported"]
    assert waiting_for({"chat": app("RUNNING", LLM=("UPSCALING", [], ""))}) == []
