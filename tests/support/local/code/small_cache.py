"""The generate app with a KV cache so small that a few requests at once interrupt each other."""

import tempfile
from pathlib import Path

from ray.serve import Application

from llmpipeline_serve import generate
from llmpipeline_serve.contract.generate import GenerateArgs
from llmpipeline_serve.contract.models import ModelArgs
from llmpipeline_serve.local.tiny.llama import make_tiny_llama


def build(_: dict[str, str]) -> Application:
    """Build the app. The local runner would leave the size of the cache to the machine."""
    folder = Path(tempfile.mkdtemp(prefix="small-cache-"))
    make_tiny_llama(folder)
    engine = {
        "max_model_len": 256, "dtype": "float32", "enforce_eager": True, "block_size": 32,
        "num_gpu_blocks_override": 10, "max_num_seqs": 8, "enable_prefix_caching": True,
    }  # fmt: skip
    return generate.build(GenerateArgs(model=ModelArgs(path=str(folder)), engine=engine))
