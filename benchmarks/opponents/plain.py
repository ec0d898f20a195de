# ruff: noqa: E402 -- the clock starts before the heavy imports, which are reported on their own
"""Plain Optuna and Flax NNX, the way their own documentation writes it.

    python benchmarks/opponents/plain.py --task digits-mlp --params FILE.json --out FILE.json [--trials N]
    python benchmarks/opponents/plain.py --task digits-mlp --seed 0 --trials 100 --out FILE.json

One trial builds, compiles and trains a fresh model on each fold. Without parameters Optuna's default sampler asks.
"""

import time

IMPORT_START = time.perf_counter()

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import optuna

from benchmarks.opponents.command import Trials, parser_of, run_command, study_of, trials_of
from benchmarks.opponents.training import cross_validate
from benchmarks.tasks import Data, Task

IMPORT_SECONDS = time.perf_counter() - IMPORT_START


def main() -> None:
    """Runs the trials and writes what they took."""
    parser = parser_of(__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampler")
    parser.add_argument("--clear-every", type=int, help="trials after which JAX's caches are cleared; never by default")
    parser.add_argument("--one-optimizer", action="store_true", help="the folds of a trial share a compiled train step")
    arguments = parser.parse_args()

    def run(task: Task, data: Data, params: Trials) -> Trials:
        def objective(trial: optuna.Trial) -> float:
            hp = task.suggest(trial)
            return cross_validate(task, data, hp, trial.number, one_optimizer=arguments.one_optimizer)

        def clear(_: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            if arguments.clear_every and (trial.number + 1) % arguments.clear_every == 0:
                jax.clear_caches()

        study = study_of(params, sampler=optuna.samplers.TPESampler(seed=arguments.seed))
        study.optimize(objective, n_trials=len(params) or arguments.trials or task.trials, callbacks=[clear])
        return trials_of(study)

    run_command(arguments, run, IMPORT_SECONDS)


if __name__ == "__main__":
    main()
