"""Names of environment variables that one package sets and the other reads."""

from collections.abc import Mapping
from typing import Final

# Where models are kept that come from the Hugging Face hub (its own variable), and from an object store.
HUB_CACHE: Final = "HF_HOME"
STORE_CACHE: Final = "LLMPIPELINE_MODEL_CACHE"
# Each with its folder in a model cache.
CACHE_FOLDERS: Final[Mapping[str, str]] = {HUB_CACHE: "huggingface", STORE_CACHE: "object-store"}
HUB_TOKEN: Final = "HF_TOKEN"
# Where ConfigMaps with code are mounted, each in a folder of its own name.
CODE_FOLDER: Final = "/etc/llmpipeline/code"
PYTHON_PATH: Final = "PYTHONPATH"
# Ray's: HAProxy instead of Serve's Python proxy, and requests that go from it to a model's replicas directly.
HAPROXY: Final = "RAY_SERVE_ENABLE_HA_PROXY"
DIRECT_STREAMING: Final = "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING"
# Ray Serve's own tracing: what makes the exporter, and the share of the requests that are traced.
TRACING_EXPORTER: Final = "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"
TRACING_RATIO: Final = "RAY_SERVE_TRACING_SAMPLING_RATIO"
TRACING_IMPORT_PATH: Final = "llmpipeline_serve.tracing:span_processors"
# OpenTelemetry's: where traces go, and what sends them.
OTLP_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
OTEL_SERVICE_NAME: Final = "OTEL_SERVICE_NAME"
OTEL_RESOURCE: Final = "OTEL_RESOURCE_ATTRIBUTES"
