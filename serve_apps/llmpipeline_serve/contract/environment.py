"""Names of environment variables that one package sets and the other reads."""

from collections.abc import Mapping
from typing import Final

# Where models are kept that come from the Hugging Face hub (its own variable), and from an object store.
HUB_CACHE: Final = "HF_HOME"
STORE_CACHE: Final = "LLMPIPELINE_MODEL_CACHE"
# Each with its folder in a model cache.
CACHE_FOLDERS: Final[Mapping[str, str]] = {HUB_CACHE: "huggingface", STORE_CACHE: "object-store"}
HUB_TOKEN: Final = "HF_TOKEN"
# Ray's: HAProxy instead of Serve's Python proxy, and requests that go from it to a model's replicas directly.
HAPROXY: Final = "RAY_SERVE_ENABLE_HA_PROXY"
DIRECT_STREAMING: Final = "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING"
