"""What a placer remembers as plain data, and back: a family stands as the number of its first trial."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from tuner.lanes.placement import FamilyMemory, PlacerMemory

Families = Mapping[Hashable, int]


def as_plain(memory: PlacerMemory, first_of: Families) -> dict[str, Any]:
    """A placer's memory as JSON has it.

    Args:
        memory: of a placer.
        first_of: each family's first trial.
    """
    families = [{"trial": first_of[family], **of._asdict()} for family, of in memory.families.items()]
    return {"epochs": memory.epochs, "trials": memory.trials, "families": families}


def from_plain(plain: Mapping[str, Any], family_of: Callable[[int], Hashable]) -> tuple[PlacerMemory, Families]:
    """What ``as_plain`` was given.

    Args:
        plain: from JSON.
        family_of: the family of a trial.
    """
    first_of = {family_of(stored["trial"]): stored["trial"] for stored in plain["families"]}
    families = {family: _family(stored) for family, stored in zip(first_of, plain["families"], strict=True)}
    return PlacerMemory(plain["epochs"], plain["trials"], families), first_of


def _family(stored: Mapping[str, Any]) -> FamilyMemory:
    planned = stored["planned"]
    return FamilyMemory(
        opened=[tuple(caps) for caps in stored["opened"]],
        trained=[(tuple(caps), epochs) for caps, epochs in stored["trained"]],
        looked=stored["looked"],
        planned=None if planned is None else [tuple(caps) for caps in planned],
    )
