"""The dashboard of language models: what vLLM says of itself, by app."""

from typing import Final

from dashboards.board import APPS, CHOICE, IN_APPS, WINDOW, Board, Panel, Section, lines
from llmpipeline.monitoring import objectives, queries

_BY: Final = "app, deployment"
_NAME: Final = "{{app}} {{deployment}}"
_QUANTILES: Final = (0.5, 0.95, 0.99)


def _quantiles(title: str, metric: str, unit: str, explains: str, *more: tuple[str, str]) -> Panel:
    pairs = [
        (queries.vllm_quantile(number, metric, APPS, WINDOW, _BY), f"{_NAME} p{number * 100:g}")
        for number in _QUANTILES
    ]
    return lines(title, unit, explains, *pairs, *more)


def _rate(metric: str, by: str = _BY) -> str:
    return queries.vllm_rate(metric, APPS, WINDOW, by)


_FELT: Final = Section(
    "What users feel",
    (
        _quantiles(
            "Time to first token",
            "time_to_first_token_seconds",
            "s",
            "From the arrival at the engine. A long queue or long prompts make it grow.",
            (
                f"{objectives.FIRST_TOKEN_OBJECTIVE}{IN_APPS}",
                "{{app}} objective for p95",
            ),
        ),
        _quantiles(
            "Time per output token",
            "request_time_per_output_token_seconds",
            "s",
            "Mean of each request. People read about 10 tokens a second.",
        ),
        _quantiles("Time of a request", "e2e_request_latency_seconds", "s", "Until the last token."),
        _quantiles("Time in the engine's queue", "request_queue_time_seconds", "s", "Before the first computation."),
    ),
)
_WORK: Final = Section(
    "Tokens and requests",
    (
        lines(
            "Tokens",
            "short",
            "A second: of prompts, and generated.",
            (_rate("prompt_tokens_total"), f"{_NAME} in"),
            (_rate("generation_tokens_total"), f"{_NAME} out"),
        ),
        lines(
            "Requests in the engine",
            "short",
            "Running: in the batch that is computed. Waiting: they have no place in the KV cache yet.",
            (queries.vllm_gauge("num_requests_running", APPS, _BY), f"{_NAME} running"),
            (queries.vllm_gauge("num_requests_waiting", APPS, _BY), f"{_NAME} waiting"),
        ),
        lines(
            "Why answers end",
            "reqps",
            "stop: the model ended it. length: max_tokens. abort: the client left, or the time was over.",
            (_rate("request_success_total", "app, finished_reason"), "{{app}} {{finished_reason}}"),
        ),
        lines(
            "Length of prompts and answers",
            "short",
            "Tokens, p95.",
            (queries.vllm_quantile(0.95, "request_prompt_tokens", APPS, WINDOW, _BY), f"{_NAME} in"),
            (queries.vllm_quantile(0.95, "request_generation_tokens", APPS, WINDOW, _BY), f"{_NAME} out"),
        ),
    ),
)
_CACHE: Final = Section(
    "KV cache",
    (
        lines(
            "Use of the KV cache",
            "percentunit",
            "The fullest replica. At 1 requests wait or are interrupted.",
            (queries.vllm_gauge("kv_cache_usage_perc", APPS, _BY, "max"), _NAME),
            highest=1,
        ),
        lines(
            "Prefix cache hits",
            "percentunit",
            "Share of the prompts' tokens that were computed before.",
            (f"{_rate('prefix_cache_hits_total')} / ({_rate('prefix_cache_queries_total')} > 0)", _NAME),
            highest=1,
        ),
        lines(
            "Preemptions",
            "short",
            "Requests a second that are interrupted because the KV cache is full, and computed again.",
            (_rate("num_preemptions_total"), _NAME),
        ),
    ),
)

BOARD: Final = Board(
    "llm",
    "llmpipeline / language models",
    "Tokens, times and the KV cache of the models in openai and generate apps, and of generate nodes.",
    (_FELT, _WORK, _CACHE),
    CHOICE,
)
