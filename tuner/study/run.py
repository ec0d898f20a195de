"""Running and resuming a study."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from tuner.experiment import (
    Experiment,
    Source,
    arrays_of,
    check,
    fingerprint,
    load_experiment,
    notes_of,
    override,
)
from tuner.lanes.compilations import compilations
from tuner.study.ledger import Ledger
from tuner.study.opening import Say, experiment_reference, memory_of_study, open_study, study_name
from tuner.study.options import Options
from tuner.study.origin import dataset_of, origin_of
from tuner.study.record import memory_of, shown_of
from tuner.study.result import StudyResult
from tuner.study.samplers import make_sampler
from tuner.study.session import Session
from tuner.study.shown import Draw
from tuner.study.storage import Storage
from tuner.tracking import Sink


def _silent(_: str) -> None:
    """Say nothing."""


def resume_study(
    name: str,
    options: Options,
    *,
    progress: Sink | None = None,
    say: Say = _silent,
    draw: Draw | None = None,
    began: float | None = None,
) -> StudyResult:
    """Complete a study from what it remembers: file, settings, seed, parallel trials, tracking.

    Raises:
        InputError: there is no such study, it was started from Python, or its experiment changed.
    """
    began = time.perf_counter() if began is None else began
    options.check()
    memory = memory_of_study(name, options.storage)
    reference = experiment_reference(name, memory)
    experiment, source = load_experiment(reference)
    remembered = replace(
        options,
        tracking_uri=options.tracking_uri or memory.tracking_uri,
        parallel_trials=options.parallel_trials or memory.parallel_trials,
        seed=memory.seed,
        deterministic=memory.deterministic,
        checkpoint_dir=options.checkpoint_dir or memory.checkpoint_dir,
    )
    return run_study(
        experiment, source, memory.settings, name, remembered, progress=progress, say=say, draw=draw, began=began
    )


def run_study(
    experiment: Experiment,
    source: Source | None,
    settings: Sequence[str],
    name: str | None,
    options: Options,
    *,
    progress: Sink | None = None,
    say: Say = _silent,
    draw: Draw | None = None,
    began: float | None = None,
) -> StudyResult:
    """Run a study: everything is checked first, then the database is touched.

    Args:
        experiment: as its file defines it.
        source: the file.
        settings: ``KEY=VALUE`` overrides.
        name: of the study.
        options: how to run.
        progress: a sink that shows what happens.
        say: takes a sentence for the user.
        draw: describes the pictures that tracking shall show.
        began: ``time.perf_counter()`` of the command's beginning.
    """
    ledger, compiled = Ledger(began), compilations()
    with ledger.phase("startup"):
        options.check()
        experiment = override(experiment, settings)
        name = study_name(name, experiment)
        arrays = arrays_of(experiment)
        checked = check(experiment, arrays)
        sampler = make_sampler(experiment.sampler, options.seed, checked.distributions)
        for note in notes_of(checked, options.trials):
            say(note)
        memory = memory_of(
            experiment,
            source,
            settings=settings,
            seed=options.seed,
            parallel_trials=options.parallel,
            tracking_uri=options.shown_tracking_uri,
            fingerprint=fingerprint(experiment, source, arrays.prepared.digest, arrays.weights.digest),
            deterministic=options.deterministic,
        )
        memory = replace(
            memory,
            shown=replace(
                shown_of(experiment, arrays.prepared.labels),
                origin=origin_of(source, options.command, memory.libraries),
                dataset=dataset_of(experiment, arrays.prepared),
            ),
            checkpoint_dir=options.checkpoint_dir and str(Path(options.checkpoint_dir).absolute()),
        )
        direction = arrays.task.metrics[experiment.metric].direction
        opened, memory = open_study(name, experiment, memory, direction, options, sampler, say)
    try:
        return Session(experiment, arrays, checked, opened, memory, options, ledger, compiled, say, draw).run(progress)
    finally:
        cast("Storage", opened._storage).leave()
