"""One line for each fault, which are printed at the end of the session."""

from dataclasses import dataclass, field


@dataclass
class Figure:
    """How one fault went.

    Attributes:
        name: The fault.
        seeds: How many were run.
        pipelines: Of all seeds.
        seconds: From the end of the fault until the last of them was right, in the worst run.
        writes: The most that one pipeline cost after the fault, those that changed nothing included.
        ended: How often the operator ended by itself, and was started again as the kubelet would.
        failed: A run did not come to what an undisturbed run comes to.
    """

    name: str
    seeds: int = 0
    pipelines: int = 0
    seconds: float = 0.0
    writes: int = 0
    ended: int = 0
    failed: bool = False

    def __str__(self) -> str:
        parts = [
            f"{self.name:<58} {self.seeds:>3} seeds, {self.pipelines:>3} pipelines",
            f"worst {self.seconds:5.1f} s, at most {self.writes} writes",
        ]
        if self.ended:
            parts.append(f"the operator ended by itself {self.ended} times")
        if self.failed:
            parts.append("FAILED")
        return ", ".join(parts)


@dataclass
class Figures:
    """Those of the session."""

    lines: list[Figure] = field(default_factory=list)

    def of(self, name: str) -> Figure:
        """The one of a fault, from its first run on."""
        found = next((it for it in self.lines if it.name == name), None)
        if found is None:
            found = Figure(name)
            self.lines.append(found)
        return found


FIGURES = Figures()
