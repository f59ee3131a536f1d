"""The errors that the runner reports in a sentence."""


class RunnerError(Exception):
    """Something that the person who started the runner can act on: it is printed as it is, without a traceback."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
