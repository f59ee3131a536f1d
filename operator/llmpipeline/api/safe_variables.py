"""Environment variables that an author without the verb `run-code` may set.

A list of what is allowed, because what runs code has no end: bash runs `BASH_ENV`, the linker loads `LD_PRELOAD`,
Python imports from `PYTHONPATH`, NCCL loads `NCCL_NET_PLUGIN`, botocore sends credentials to `AWS_ENDPOINT_URL`. These
name no code, no file and no address to which a credential goes. Proxies see only TLS, and `$(NAME)` in a value, by
which Kubernetes would put a Secret into it, is not allowed either.
"""

from typing import Final

SAFE_VARIABLES: Final = (
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "GLOO_SOCKET_IFNAME",
    "HF_HUB_DISABLE_XET",
    "HF_HUB_DOWNLOAD_TIMEOUT",
    "HF_HUB_ENABLE_HF_TRANSFER",
    "HF_HUB_ETAG_TIMEOUT",
    "HF_HUB_OFFLINE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "NCCL_DEBUG",
    "NCCL_IB_DISABLE",
    "NCCL_P2P_DISABLE",
    "NCCL_SHM_DISABLE",
    "NCCL_SOCKET_IFNAME",
    "NO_PROXY",
    "OMP_NUM_THREADS",
    "PYTORCH_CUDA_ALLOC_CONF",
    "TOKENIZERS_PARALLELISM",
    "TRANSFORMERS_OFFLINE",
    "TZ",
    "VLLM_CPU_KVCACHE_SPACE",
    "VLLM_CPU_OMP_THREADS_BIND",
    "VLLM_LOGGING_LEVEL",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)

# In CEL: whether a variable is safe, whether all in a list are, and the names of the others.
_SAFE: Final = (
    f"has(variable.value) && !variable.value.contains('$(') && variable.name.matches('^({'|'.join(SAFE_VARIABLES)})$')"
)
ONLY_SAFE: Final = f"value.all(variable, {_SAFE})"
UNSAFE_NAMES: Final = f"value.filter(variable, !({_SAFE})).map(variable, variable.name).join(', ')"
