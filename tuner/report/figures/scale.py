"""A hyperparameter as places on a line."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

_TICKS = 5
_EDGE = 0.05


@dataclass(frozen=True)
class Scale:
    """From the lowest to the highest number, perhaps by their logarithms; the choices by their places."""

    low: float
    high: float
    log: bool = False
    choices: dict[int, str] | None = None

    @classmethod
    def of(cls, name: str, distribution: BaseDistribution, trials: Iterable[FrozenTrial]) -> "Scale":
        """What a parameter could be, and what it was in trials whose range was another."""
        if isinstance(distribution, CategoricalDistribution):
            choices = {place: str(choice) for place, choice in enumerate(distribution.choices)}
            return cls(0.0, len(choices) - 1.0, choices=choices)
        numbers = [as_number(distribution, trial.params[name]) for trial in trials if name in trial.params]
        low, high, log = (getattr(distribution, field) for field in ("low", "high", "log"))
        return cls(float(min([low, *numbers])), float(max([high, *numbers])), log)

    def place(self, number: float) -> float:
        """Where a number lies, from 0 to 1; one beyond the ends at them."""
        if self.low == self.high:
            return 0.5
        low, high, at = (self._scaled(each) for each in (self.low, self.high, number))
        return min(max((at - low) / (high - low), 0.0), 1.0)

    def ticks(self) -> dict[float, str]:
        """Texts for some places."""
        if self.choices is not None:
            return {self.place(place): text for place, text in self.choices.items()}
        shares = [0.5] if self.low == self.high else [index / (_TICKS - 1) for index in range(_TICKS)]
        return {share: f"{self._at(share):.3g}" for share in shares}

    def with_edges(self) -> tuple[float, float] | None:
        """The ends, a little further apart; None where they are one."""
        return None if self.low == self.high else (self._at(-_EDGE), self._at(1 + _EDGE))

    def _scaled(self, number: float) -> float:
        return math.log10(number) if self.log else number

    def _at(self, share: float) -> float:
        low, high = self._scaled(self.low), self._scaled(self.high)
        at = low + share * (high - low)
        return float(10**at) if self.log else at


def as_number(distribution: BaseDistribution, value: object) -> float:
    """A parameter's value as a number: of a categorical one, which of the choices it is."""
    return float(distribution.to_internal_repr(value))
