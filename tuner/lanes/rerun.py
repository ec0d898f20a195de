"""Training once more what ran out of memory, in a smaller program: a start is drawn again, nothing has to be kept."""

from collections.abc import Mapping

from tuner.lanes.arrays import Arrays
from tuner.lanes.homes import Home, Homes
from tuner.lanes.layout import Layout
from tuner.lanes.memory import is_out_of_memory
from tuner.lanes.population import Population, Seat
from tuner.lanes.results import EpochResult, results_of
from tuner.lanes.waiting import Draw


def train_again(
    homes: Homes, arrays: Arrays, home: Home, layout: Layout, seats: Mapping[int, Seat], draw: Draw
) -> tuple[Population, dict[int, EpochResult]]:
    """Train trials up to the epoch that ran out of memory once more.

    Args:
        homes: where smaller programs come from.
        arrays: data and folds.
        home: of the trials.
        layout: of the program that ran out of memory.
        seats: the trials' numbers and the epochs that they had trained.
        draw: (home, numbers, trial) -> what the trial starts with.

    Returns:
        The population that they are in now, and what the epoch gave.

    Raises:
        OutOfMemoryError: not one lane at a time fits.
    """
    while True:
        program = homes.program_that_fits(home, homes.shrink(home, layout))
        population = Population(program, arrays, arrays.folds)
        try:
            return population, _replay(population, home, arrays, seats, draw)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            layout = program.layout


def _replay(
    population: Population, home: Home, arrays: Arrays, seats: Mapping[int, Seat], draw: Draw
) -> dict[int, EpochResult]:
    """Those that have come furthest begin, and the others join when they are as far as they were."""
    results: dict[int, EpochResult] = {}
    for epoch in range(max(seat.epoch for seat in seats.values()), -1, -1):
        for trial in [trial for trial, seat in seats.items() if seat.epoch == epoch]:
            population.insert(trial, draw(home, seats[trial].numbers, trial))
        for chunk in population.chunks:
            trials = population.trials_of(chunk)
            results |= results_of(arrays, population, trials, population.advance(chunk, trials))
    return results
