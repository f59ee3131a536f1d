"""Shapes of the names that a user gives."""

from typing import Annotated

from pydantic import Field

ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
# A colon would be read as MODEL:ADAPTER by Ray's model multiplexing.
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=128)]
# A node's result is a variable in templates, so its name must be one.
NodeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
RoutePrefix = Annotated[str, Field(pattern=r"^(/|(/[A-Za-z0-9._~][A-Za-z0-9._~-]*)+)$", max_length=128)]
ImportPath = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*[:.][A-Za-z_][A-Za-z0-9_]*$", max_length=256)]
