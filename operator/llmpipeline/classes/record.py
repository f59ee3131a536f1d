"""The class that a RayService was made with, as it was then. It stands on the RayService, as JSON.

So a change of the class is known after any restart, and until its turn comes a pipeline goes on with the class as it
was. It is input: who may change the RayService may have written anything.
"""

import json
from dataclasses import dataclass

from llmpipeline import names
from llmpipeline.classes.choose import Classes, Used
from llmpipeline.names import Manifest


@dataclass(frozen=True, slots=True)
class Record:
    """A class as it was.

    Attributes:
        name: Its name; empty: there was none.
        by_default: The pipeline named none.
        content: Its spec.
    """

    name: str
    by_default: bool
    content: Manifest

    @property
    def classes(self) -> Classes:
        """The classes of which a pipeline that is of this one would choose it."""
        if not self.name:
            return Classes()
        annotations = {names.ANNOTATION_DEFAULT_CLASS: "true"} if self.by_default else {}
        document: Manifest = {
            "apiVersion": names.API_VERSION,
            "kind": names.CLASS_KIND,
            "metadata": {"name": self.name, "annotations": annotations},
            "spec": self.content,
        }
        return Classes((document,))


def written(used: Used) -> str:
    """What stands on a RayService; empty without a class."""
    if not used.name:
        return ""
    record = {"name": used.name, "byDefault": used.by_default, "spec": used.content}
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


def read(text: str) -> Record:
    """What stands there, or that there was none."""
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        found = {}
    name, spec = (found.get("name"), found.get("spec")) if isinstance(found, dict) else (None, None)
    if not (isinstance(name, str) and name and isinstance(spec, dict)):
        return Record("", True, {})
    return Record(name, found.get("byDefault") is True, spec)
