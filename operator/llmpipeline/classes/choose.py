"""Which class a pipeline has."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from llmpipeline import names
from llmpipeline.api.parse import parse_class
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.api.pipeline_class import ClassRay, ClassSpec, Images
from llmpipeline.classes import gpu_types
from llmpipeline.conditions import Accepted
from llmpipeline.names import Manifest
from llmpipeline.problems import Problem, summarize

# What pipelines without a class get. It belongs to the API version: another release of the operator has the same.
BUILT_IN_RAY: Final = ClassRay(
    version="2.60.0", images=Images(cpu="llmpipeline/serve:2.60.0-cpu", gpu="llmpipeline/serve:2.60.0-gpu")
)
_AT: Final = ("spec", "className")
_MOST_NAMED: Final = 5
# Of its spec as JSON, in bytes. Kubernetes takes 256 KiB of annotations.
LARGEST: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes that there are.

    Attributes:
        documents: Each as a file or the API server has it.
        unread: Why the cluster's cannot be read; empty if they can.
        is_partial: There may be others: these are of files, and no cluster was asked.
    """

    documents: tuple[Manifest, ...] = ()
    unread: str = ""
    is_partial: bool = False


NONE: Final = Classes()


@dataclass(frozen=True, slots=True)
class Used:
    """The class of one pipeline.

    Attributes:
        name: Its name; empty: no class, so the built-in defaults.
        spec: What it fills in.
        content: The same as the document has it.
        by_default: The pipeline names none.
        note: What could not be looked at, as a sentence.
        elsewhere: What to do to have more types of GPUs looked at; empty if all classes were.
    """

    name: str = ""
    spec: ClassSpec = field(default_factory=ClassSpec)
    content: Manifest = field(default_factory=dict)
    by_default: bool = True
    note: str = ""
    elsewhere: str = ""

    @property
    def ray(self) -> ClassRay:
        """What it says of Ray, with a version and images."""
        own = self.spec.ray or ClassRay()
        return (
            own
            if own.version
            else own.model_copy(update={"version": BUILT_IN_RAY.version, "images": BUILT_IN_RAY.images})
        )

    @property
    def how_to_add(self) -> str:
        """What to do if a type of GPU is missing."""
        whose = str(self) if self.name else "a class"
        return self.elsewhere or f"an administrator can add it to spec.gpuTypes of {whose}"

    def __str__(self) -> str:
        return f"class {self.name}" if self.name else "the built-in defaults"


def choose(pipeline: LLMPipeline, classes: Classes) -> Used | Problem:
    """The class that a pipeline names, or else the default class, or else the built-in defaults."""
    wanted = pipeline.spec.class_name
    if classes.unread:
        return _without_reading(pipeline, classes.unread)
    if wanted is None:
        used = _default(classes)
        is_open = classes.is_partial and isinstance(used, Used) and not used.name
        return _of_any_version(pipeline) if is_open else used
    document = next((it for it in classes.documents if name_of(it) == wanted), None)
    if document is not None:
        return _used(document, by_default=False)
    if classes.is_partial:
        note = f"What class {wanted} sets was not looked at: name its file with --class."
        return replace(_of_any_version(pipeline), by_default=False, note=note)
    there = sorted(map(name_of, classes.documents))
    named = f"name one of {', '.join(there[:_MOST_NAMED])}" if there else "leave className out"
    message = f"there is no {names.CLASS_KIND} {wanted}"
    return Problem(_AT, message, f"ask an administrator to create it, or {named}", Accepted.CLASS_NOT_FOUND)


def name_of(document: Manifest) -> str:
    """The name of a class; empty if it has none."""
    metadata = document.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def is_default(document: Manifest) -> bool:
    """Whether a class is marked as that of pipelines which name none, as storage classes are."""
    metadata = document.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(annotations, dict) and annotations.get(names.ANNOTATION_DEFAULT_CLASS) == "true"


def laid_over(documents: Iterable[Manifest], others: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Classes, those of the first argument instead of others that have the same name."""
    by_name = {name_of(document): document for document in (*others, *documents)}
    return tuple(by_name[name] for name in sorted(by_name))


def _default(classes: Classes) -> Used | Problem:
    found = [document for document in classes.documents if is_default(document)]
    if len(found) > 1:
        message = f"several classes are marked as default: {', '.join(sorted(map(name_of, found)))}"
        remedy = f"set className, or remove the annotation {names.ANNOTATION_DEFAULT_CLASS} from all but one"
        return Problem(_AT, message, remedy, Accepted.SEVERAL_DEFAULT_CLASSES)
    return _used(found[0], by_default=True) if found else Used()


def _used(document: Manifest, *, by_default: bool) -> Used | Problem:
    parsed = parse_class(document)
    if not isinstance(parsed, list):
        parsed = [*too_large(document), *gpu_types.wrong_labels(parsed.spec)] or parsed
    if isinstance(parsed, list):
        message = f"{names.CLASS_KIND} {name_of(document)} is invalid: {summarize(parsed, 2)}"
        remedy = f"ask an administrator to correct it: llmpipeline validate checks a {names.CLASS_KIND} too"
        return Problem(_AT, message, remedy, Accepted.INVALID_CLASS)
    return Used(parsed.metadata.name, parsed.spec, document["spec"], by_default)


def too_large(document: Manifest) -> Iterator[Problem]:
    """A class that does not go into an annotation of each RayService, together with what else is there."""
    size = len(json.dumps(document.get("spec")))
    if size > LARGEST:
        message = f"it has {size // 1024 + 1} KiB as JSON, more than {LARGEST // 1024}"
        yield Problem(("spec",), message, "make it smaller, mostly its ray.env")


def _without_reading(pipeline: LLMPipeline, why: str) -> Used | Problem:
    """Who says all that matters needs no class. Anything else would be a guess, which changes with the next right."""
    ray, named = pipeline.spec.ray, pipeline.spec.class_name
    if ray.version and ray.image and named is None:
        return Used(elsewhere="ask an administrator for the right to read classes: spec.gpuTypes of one may have it")
    message = f"{names.CLASS_KIND}es cannot be read: {why}"
    remedy = "leave className out, and set ray.version and ray.image; or ask an administrator for that right"
    return Problem(_AT if named else ("spec", "ray"), message, remedy, Accepted.CLASSES_UNREADABLE)


def _of_any_version(pipeline: LLMPipeline) -> Used:
    """The built-in defaults of a pipeline whose class is not known."""
    version = pipeline.spec.ray.version
    used = Used(elsewhere="if spec.gpuTypes of a class has it, name the file of that class with --class")
    if not version or pipeline.spec.ray.image or version == BUILT_IN_RAY.version:
        return used
    note = f"Which image has Ray {version}, a class says: set ray.image, or name the file of the class with --class."
    return replace(used, spec=ClassSpec(ray=BUILT_IN_RAY.model_copy(update={"version": version})), note=note)
