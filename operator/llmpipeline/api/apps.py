"""The apps: what a pipeline serves. Each kind is one optional member of `App`, and exactly one is given."""

from typing import Annotated, Any, Literal

from pydantic import Field

from llmpipeline.api.deployment import Deployment
from llmpipeline.api.model import Model, any_object, exactly_one, named_list

ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
# A colon would be read as MODEL:ADAPTER by Ray's model multiplexing.
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=128)]
RoutePrefix = Annotated[str, Field(pattern=r"^(/|(/[A-Za-z0-9._~][A-Za-z0-9._~-]*)+)$", max_length=128)]
ImportPath = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*[:.][A-Za-z_][A-Za-z0-9_]*$", max_length=256)]
AcceleratorType = Literal["T4", "A10G", "L4", "L40S", "A100", "H100", "H200", "B200"]


class Hello(Deployment):
    """The smallest app: answers GET with a greeting. It shows that a pipeline works, without a model."""

    message: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="What it answers. Default: a greeting."
    )


class SecretKeyReference(Model):
    """A key of a Secret in the pipeline's namespace. The operator never reads it; Pods do."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The Secret's name.")
    key: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The key in the Secret.")


class HuggingFace(Model):
    """A model repository on the Hugging Face hub."""

    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$", max_length=256)] = Field(
        description="The repository, like meta-llama/Llama-3.1-8B-Instruct."
    )
    revision: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None, description="A branch, tag or commit. A commit makes every start load the same bytes."
    )
    token_secret_ref: SecretKeyReference | None = Field(
        default=None, description="The Secret that holds the access token, for gated or private repositories."
    )


class ModelSource(Model):
    """Where a model comes from."""

    rules = (exactly_one("hugging_face", "path", "uri"),)

    hugging_face: HuggingFace | None = Field(default=None, description="A repository on the Hugging Face hub.")
    path: Annotated[str, Field(pattern=r"^/", max_length=1024)] | None = Field(
        default=None, description="A folder inside the Ray image or a volume mounted in it, like /models/llama."
    )
    uri: Annotated[str, Field(pattern=r"^(s3|gs|abfss|azure)://.+", max_length=1024)] | None = Field(
        default=None, description="A folder in an object store, like s3://bucket/llama."
    )


class Accelerator(Model):
    """The kind of GPU."""

    type: AcceleratorType = Field(
        description="The GPU's type, like L40S. It selects the nodes and becomes Ray's accelerator_type."
    )


class Engine(Model):
    """Arguments of the vLLM engine. What is not named here goes into `extra`."""

    max_model_length: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description="Longest prompt and answer together, in tokens. Default: what the model allows."
    )
    gpu_memory_utilization_percent: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="Share of the GPU's memory that the engine may take. Default 90."
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] | None = Field(
        default=None, description="Number format of weights and activations. Default auto: the model's own."
    )
    extra: dict[str, Any] | None = any_object(
        "Any other argument of vLLM's engine, by its own name, like {enable_prefix_caching: true}."
    )


class OpenAIModel(Deployment):
    """One model of an `openai` app: a deployment of its own that scales alone."""

    name: ModelName = Field(description="The model id that clients send.")
    source: ModelSource = Field(description="Where the model comes from.")
    accelerator: Accelerator | None = Field(
        default=None, description="The GPU that it runs on. Without it the model runs on CPUs."
    )
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="GPUs that share each layer. They should be on one node."
    )
    pipeline_parallel_size: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Stages that the layers are split into; each takes tensorParallelSize GPUs."
    )
    placement: Literal["StrictPack", "Pack", "Spread", "StrictSpread"] | None = Field(
        default=None,
        description="How the GPUs of one replica are placed: StrictPack, all on one node; Pack, on few; Spread, on "
        "many; StrictSpread, each on its own. Default StrictPack.",
    )
    engine: Engine | None = Field(default=None, description="Arguments of the vLLM engine.")


class OpenAI(Model):
    """Models behind the OpenAI API: /v1/models, /v1/chat/completions, /v1/completions and their kin."""

    models: tuple[OpenAIModel, ...] = named_list("The models, told apart by name.", least=1, most=16)
    ingress: Deployment | None = Field(
        default=None, description="The deployment that takes the HTTP requests and passes them to the models."
    )


class CustomDeployment(Deployment):
    """Settings for one deployment of a custom app."""

    name: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="The deployment's name in the app's code."
    )


class Custom(Model):
    """A Serve app of your own. Its code must be in the Ray image or in the runtime environment."""

    import_path: ImportPath = Field(
        description="Where the app is: MODULE:NAME of a bound application or of a function that builds one."
    )
    args: dict[str, Any] | None = any_object("Arguments for the function that builds the app.")
    runtime_env: dict[str, Any] | None = any_object(
        "Ray's runtime environment for the app, like {env_vars: {A: b}} or {working_dir: URI of a zip file}."
    )
    deployments: tuple[CustomDeployment, ...] = named_list(
        "Settings for the app's deployments, by their name. They also tell how much room the app needs: a custom app "
        "that lists none is given room for one replica of one CPU.",
        most=32,
    )


class App(Model):
    """One app of the pipeline: a name, a route and exactly one kind."""

    rules = (exactly_one("hello", "openai", "custom"),)

    name: ObjectName = Field(description="The app's name, unique in the pipeline.")
    route_prefix: RoutePrefix | None = Field(
        default=None, description="The path under which it answers. Default /NAME; / takes what no other app does."
    )
    hello: Hello | None = Field(default=None, description="A greeting, to see that a pipeline works.")
    openai: OpenAI | None = Field(default=None, description="Models behind the OpenAI API, by Ray Serve LLM and vLLM.")
    custom: Custom | None = Field(default=None, description="A Ray Serve app of your own.")

    @property
    def route(self) -> str:
        """The path under which the app answers."""
        return self.route_prefix or f"/{self.name}"
