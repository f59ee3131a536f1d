"""From where a model is said to be to a folder that holds it."""

import hashlib
import os
from pathlib import Path

from llmpipeline_serve.contract.environment import STORE_CACHE
from llmpipeline_serve.contract.models import ModelArgs


def fetch(model: ModelArgs) -> str:
    """Return the folder of a model, brought here first where it is elsewhere.

    The Hugging Face hub keeps its own cache (`HF_HOME`) and takes its token from `HF_TOKEN`; what comes from an object
    store is kept in `LLMPIPELINE_MODEL_CACHE`.

    Raises:
        OSError: It is not there or cannot be read.
    """
    if model.path:
        if not Path(model.path).is_dir():
            raise FileNotFoundError(f"model path {model.path}: there is no such folder in this Pod")
        return model.path
    if model.uri:
        return str(_from_object_store(model.uri))
    from huggingface_hub import snapshot_download

    assert model.repository
    # The weights in torch's own format and in other frameworks' are the same once more.
    ignored = ["*.msgpack", "*.h5", "*.onnx", "*.ot", "onnx/*", "openvino/*", "original/*"]
    return snapshot_download(model.repository, revision=model.revision, ignore_patterns=ignored)


def _from_object_store(uri: str) -> Path:
    """A folder of an object store as a local one: complete, or not there at all."""
    from pyarrow import fs

    cache = Path(os.environ.get(STORE_CACHE) or Path.home() / ".cache" / "llmpipeline")
    folder = cache / hashlib.sha256(uri.encode()).hexdigest()[:24]
    if folder.is_dir():
        return folder
    remote, path = fs.FileSystem.from_uri(uri)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    fs.copy_files(path, str(partial), source_filesystem=remote, destination_filesystem=fs.LocalFileSystem())
    if not any(partial.iterdir()):
        partial.rmdir()
        raise FileNotFoundError(f"model uri {uri}: there is nothing")
    try:
        partial.rename(folder)
    except OSError:  # another replica on this node was faster
        if not folder.is_dir():
            raise
    return folder
