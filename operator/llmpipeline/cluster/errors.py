"""The two ways in which a request to the API server fails."""

from dataclasses import dataclass


@dataclass
class RequestRejected(Exception):
    """The API server said no, and will say it again to the same request.

    Attributes:
        status: The HTTP status code.
        message: The API server's own sentence.
    """

    status: int
    message: str

    def __str__(self) -> str:
        return f"{self.message} (HTTP {self.status})"


class Unreachable(Exception):
    """There was no answer, or none that says anything of the request: the same one may succeed later.

    The text says why, and what to do if there is something.
    """
