"""What the lanes were used for: counts for a study's cost."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tuner.lanes.layout import Layout
from tuner.lanes.population import Seat


@dataclass
class Usage:
    """Counts for the study's cost.

    lane_epochs: run, and busy_lane_epochs: those of them that held a trial. weights: multiply-adds of one example with
    each kernel of the caps, over all lane-epochs, and weights_in_use: those of units within the sizes.
    compiled: the programs that were used, each with its caps, its batch size and why it was wanted.
    """

    busy_lane_epochs: int = 0
    lane_epochs: int = 0
    weights: float = 0.0
    weights_in_use: float = 0.0
    compiled: list[dict[str, Any]] = field(default_factory=list)

    @property
    def programs(self) -> int:
        """Programs used."""
        return len(self.compiled)

    @property
    def occupancy(self) -> float:
        """Busy lane-epochs over all."""
        return self.busy_lane_epochs / self.lane_epochs if self.lane_epochs else 1.0

    @property
    def mask_tax(self) -> float:
        """Multiply-adds on masked units over all multiply-adds."""
        return 1 - self.weights_in_use / self.weights if self.weights else 0.0

    def count(self, seats: Iterable[Seat], layout: Layout) -> None:
        """Add an epoch of a chunk in which these seats were taken."""
        self.lane_epochs += layout.lanes
        for seat in seats:
            self.busy_lane_epochs += layout.folds
            self.weights += seat.weights
            self.weights_in_use += seat.weights_in_use
