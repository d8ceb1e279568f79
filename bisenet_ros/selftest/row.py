"""What one check found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

ENGINE_TOLERANCE = 1e-3  # relative to the largest logit; another summation order alone gives 1e-5
SOURCE_TOLERANCE = 1e-4


@dataclass
class Row:
    """One network's or one checkpoint's checks.

    Attributes:
        kind: ``network`` or ``source``.
        name: of the network, or of the checkpoint.
        parameters: of the network for inference.
        losses: of the training steps; empty for a checkpoint.
        reloaded: largest difference of a logit after saving and loading; None for a checkpoint.
        source_error: largest difference from what the source's own code computes, relative to the
            largest logit; None for a network.
        engines: by name the largest difference from PyTorch's float32 logits, as a share of the
            largest logit.
        failures: in words; empty if all agree.
        seconds: that the checks took.
    """

    kind: str
    name: str
    parameters: int = 0
    losses: list[float] = field(default_factory=list)
    reloaded: float | None = None
    source_error: float | None = None
    engines: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def expect(self, agrees: bool, failure: str) -> None:
        """Note a failure unless ``agrees``."""
        if not agrees:
            self.failures.append(failure)

    @contextmanager
    def checking(self, what: str) -> Iterator[None]:
        """Note an exception as a failure of ``what``."""
        try:
            yield
        except Exception as error:  # a check has to survive whatever breaks
            said = " ".join(str(error).split())
            self.failures.append(f"{what}: {type(error).__name__}: {said}")
