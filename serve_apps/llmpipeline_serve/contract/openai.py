"""Ray Serve LLM's own names, which the operator renders and the local runner reads (ray.serve.llm, Ray 2.60)."""

from typing import Final

IMPORT_PATH: Final = "ray.serve.llm:build_openai_app"
# Disaggregated prefill/decode.
PREFILL_IMPORT_PATH: Final = "ray.serve.llm:build_pd_openai_app"
# What the names of a model's deployments begin with.
MODEL: Final = "LLMServer"
PREFILL: Final = "Prefill"
DECODE: Final = "Decode"
# The deployment that takes the HTTP requests, if requests do not go to a model's replicas directly.
INGRESS: Final = "OpenAiIngress"
