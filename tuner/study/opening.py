"""Finding, opening and creating studies in a database."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
from optuna.study import StudyDirection

from tuner.errors import InputError, check_name
from tuner.experiment import Experiment, changes
from tuner.study.options import Options
from tuner.study.pruners import make_pruner
from tuner.study.record import StudyMemory
from tuner.study.result import StudyResult, result_of
from tuner.study.storage import Occupied, Storage, check_storage_url, open_storage, sqlite_file, without_password
from tuner.study.stored import attributes_of, memory_in, save_memory
from tuner.training.metrics import Direction

Say = Callable[[str], None]


def study_name(name: str | None, experiment: Experiment) -> str:
    """The name of a study: the one that was given, else the experiment's.

    Raises:
        InputError: no study can have it.
    """
    name = experiment.name if name is None else name
    check_name("a study", name)
    return name


def memory_of_study(name: str, storage_url: str) -> StudyMemory:
    """What a study remembers.

    Raises:
        InputError: it does not exist in this database, or is not tuner's.
    """
    return load_with_memory(name, storage_url)[1]


def load_with_memory(name: str, storage_url: str) -> tuple[optuna.Study, StudyMemory]:
    """An existing study of tuner's, and what it remembers.

    Raises:
        InputError: it does not exist in this database, or is not tuner's.
    """
    study = load_study(name, storage_url)
    memory = memory_in(study)
    if memory is None:
        raise InputError("the study was not made by tuner", name, "Use another --study name.")
    return study, memory


def load_study(name: str, storage_url: str) -> optuna.Study:
    """An existing study.

    Raises:
        InputError: it does not exist; the message lists those that do.
    """
    storage = _existing_storage(storage_url)
    names = [] if storage is None else storage.names()
    if storage is None or name not in names:
        shown = without_password(storage_url)
        known = f"Studies in {shown}: {', '.join(names)}." if names else f"There is no study in {shown}."
        raise InputError("there is no study of this name", name, known)
    return optuna.load_study(study_name=name, storage=storage)


def all_results(storage_url: str) -> list[StudyResult]:
    """The results of all of tuner's studies in a database, by name; none where the SQLite file does not exist."""
    storage = _existing_storage(storage_url)
    if storage is None:
        return []
    studies = [optuna.load_study(study_name=name, storage=storage) for name in storage.names()]
    return [result_of(study, memory) for study in studies if (memory := memory_in(study)) is not None]


def experiment_reference(name: str, memory: StudyMemory) -> str:
    """Where a study's experiment file is now: where it was, or at the same place of the project you stand in.

    Raises:
        InputError: it is nowhere, or the study was started from Python.
    """
    if memory.file is None or memory.relative is None:
        raise InputError(
            "the study was started from Python, without an experiment file",
            name,
            f"Go on from Python: tuner.run(experiment, study={name!r}, ...).",
        )
    candidates = [Path(memory.file), *(folder / memory.relative for folder in (Path.cwd(), *Path.cwd().parents))]
    for candidate in candidates:
        if candidate.is_file():
            return f"{candidate}:{memory.attribute}"
    raise InputError(
        "the study's experiment file is gone",
        memory.file,
        f"Put it back, or stand in the folder that has {memory.relative}.",
    )


def open_study(
    name: str,
    experiment: Experiment,
    memory: StudyMemory,
    direction: Direction,
    options: Options,
    sampler: optuna.samplers.BaseSampler,
    say: Say,
) -> tuple[optuna.Study, StudyMemory]:
    """Open the study of this name, or create it; it remembers ``memory`` from now on.

    This process is one of its workers from now on; trials that a killed one left running go back to waiting.

    Raises:
        InputError: the study belongs to another experiment, the experiment changed, or it cannot be shared.
    """
    storage = open_storage(options.storage)
    pruner = make_pruner(experiment.pruner, experiment.epochs)
    made = name not in storage.names() and storage.create_study_with(
        name, StudyDirection[direction.upper()], attributes_of(memory)
    )
    study = optuna.load_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner)
    if not made:
        before = memory_in(study)
        _check_same(study, before, memory, allow_changed=options.allow_changed, say=say)
        memory = memory if before is None else replace(memory, key=before.key)
    _enter(study, storage, options)
    save_memory(study, memory)
    return study, memory


def _existing_storage(url: str) -> Storage | None:
    check_storage_url(url)
    file = sqlite_file(url)
    return None if file is not None and not file.exists() else open_storage(url, writable=False)


def _check_same(
    study: optuna.Study, before: StudyMemory | None, now: StudyMemory, *, allow_changed: bool, say: Say
) -> None:
    if before is None or before.experiment != now.experiment:
        owner = "something else" if before is None else f"the experiment {before.experiment!r}"
        raise InputError(f"the study exists and belongs to {owner}", study.study_name, "Choose another --study name.")
    found = changes(before.fingerprint, now.fingerprint)
    if before.seed != now.seed:
        found.append(f"seed: {before.seed} became {now.seed}")
    if found and not allow_changed:
        raise InputError(
            f"the experiment of study {study.study_name!r} changed",
            "; ".join(found),
            "Undo it, give --allow-changed, or start another study with --study NAME.",
        )
    newer = [
        f"{lib} {before.libraries.get(lib)} became {v}"
        for lib, v in now.libraries.items()
        if before.libraries.get(lib) != v
    ]
    if newer:
        say(f"other libraries than at the study's start: {', '.join(newer)}")


def _enter(study: optuna.Study, storage: Storage, options: Options) -> None:
    """Become a worker of the study.

    Raises:
        InputError: it cannot be shared with those that it has.
    """
    try:
        storage.enter(study._study_id, options.lease, alone=options.deterministic)
    except Occupied:
        raise InputError(
            "another worker runs the study, and one of the two must be alone (--deterministic, or such a database)",
            study.study_name,
            f"Wait until it ends; if its machine is gone, {options.lease:g} s at most.",
        ) from None
