"""The study's storage: trials are read from memory, and written behind the loop, many changes in one transaction."""

import copy
import json
import logging
import weakref
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import MAX_INDEXED_STRING_LENGTH
from optuna.trial import FrozenTrial, TrialState

from tuner.study.storage import frozen
from tuner.study.storage.batch import Batch
from tuner.study.storage.leases import LeaseLost
from tuner.study.storage.membership import Membership
from tuner.study.storage.mirror import Mirror
from tuner.study.storage.reading import Reading
from tuner.study.storage.rows import utc
from tuner.study.storage.tables import StudyFull
from tuner.study.storage.urls import sqlite_file
from tuner.study.storage.writer import Writer

log = logging.getLogger("tuner")


class Storage(Reading):
    """An Optuna storage over a database that answers from memory and writes in batches.

    Creating a trial and taking one that waits are done in the database at once, so that any number of processes share a
    study. All else that happens to a trial is seen here immediately and written within a fraction of a second: a
    process that is killed loses that much. ``flush`` waits for it; setting a study's user attribute flushes first.

    Args:
        backend: Optuna's storage of the database.

    Attributes:
        membership: this process among the workers of a study.
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._limits_keys = backend.engine.dialect.name != "sqlite"
        self._writer = Writer(self._tables.write, background=self._limits_keys or sqlite_file(backend.url) is not None)
        self.membership = Membership(self._tables)
        weakref.finalize(self, _abandon, self._writer, self.membership, backend)  # at the interpreter's end too

    def __getstate__(self) -> RDBStorage:
        self.flush()
        return self._backend

    def __setstate__(self, backend: RDBStorage) -> None:
        self.__init__(backend)  # type: ignore[misc]  # nothing but the database travels

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything is written.

        Raises:
            WriteFailed: it cannot be written, or not in time.
        """
        self._writer.flush(timeout)

    def close(self) -> None:
        """Write everything and close the connections; a later call would open others.

        Raises:
            WriteFailed: not everything can be written.
        """
        _close(self._writer, self.membership, self._backend)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is changed inside is written in one transaction: the database has all of it or nothing."""
        with self._lock, self._writer.batch():
            yield

    def requeue(self, trial_ids: Collection[int], *, ended: bool = False) -> None:
        """Put trials that were running (or ``ended``) back to waiting, under their numbers, without what they reported.

        Their parameters stay where the search space had drawn them all; else they are drawn again from their own seed.
        """
        if not trial_ids:
            return
        with self._lock:
            self.flush()
            self._tables.put_back(trial_ids, ended=ended)
            self._read_again(trial_ids)

    def begun(self, study_id: int) -> int:
        """How many of a study's trials run or have ended."""
        with self._lock:
            return self._mirror(study_id).begun

    def known_states(self, study_id: int) -> list[TrialState]:
        """The states of a study's trials, as far as they are known here: nothing is read for it.

        Reading takes the longer the more epochs the trials of others have reported, and this is asked every epoch.
        """
        with self._lock:
            return [trial.state for trial in self._mirrors.get(study_id, Mirror()).trials.values()]

    def refresh(self, study_id: int) -> None:
        """Learn what other processes did, at once."""
        with self._lock:
            self._sync(study_id, self._mirror(study_id))

    def put_back_strays(self, study_id: int) -> None:
        """Put back what belongs to this worker without its knowing: the answer of the database was lost."""
        with self._lock:
            strays = set(self.membership.leased()) - self._mirror(study_id).own
            self.requeue(strays)

    def enter(self, study_id: int, seconds: float, *, alone: bool) -> None:
        """Become one of a study's workers: see ``Membership.enter``. What the dead ran is seen to wait at once."""
        self.membership.enter(study_id, seconds, alone=alone)
        self.refresh(study_id)

    def enter_again(self) -> None:
        """Become another worker, after others took this one for dead: nothing runs here any more."""
        with self._lock:
            unwritten = self._writer.forget()
            self.membership.enter_again()
            self._read_again(unwritten.union(*(mirror.unfinished for mirror in self._mirrors.values())))

    def leave(self) -> None:
        """Be no worker any more, once everything is written; what this one still runs goes back to waiting.

        Raises:
            WriteFailed: not everything can be written.
        """
        _leave(self._writer, self.membership)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Optuna's; the trials are written before what is said of them all."""
        self.flush()
        super().set_study_user_attr(study_id, key, value)

    def delete_study(self, study_id: int) -> None:
        """Optuna's."""
        with self._lock:
            self.flush()
            self._mirrors.pop(study_id, None)
            super().delete_study(study_id)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial in the database, which gives it id and number."""
        with self._lock:
            self._writer.check()
            mirror = self._mirror(study_id)
            if template_trial is None:
                with self._up_to_date(study_id, mirror):
                    mirror.put(trial := self._tables.create(study_id), own=True)
            else:
                mirror.put_all([trial := self._tables.create_from(study_id, template_trial)])
            return trial._trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter; one that is set stays as it is."""
        self._check_key(param_name)
        with self._change(trial_id) as (trial, batch):
            known = self._mirror_with(trial_id).distributions.setdefault(param_name, distribution)
            check_distribution_compatibility(known, distribution)
            if param_name in trial.params:
                return
            value, described = float(param_value_internal), distribution_to_json(distribution)
            stored = frozen.distribution(described)
            trial.params = trial.params | {param_name: stored.to_external_repr(value)}
            trial.distributions = trial.distributions | {param_name: stored}
            batch.params[trial_id, param_name] = value, described

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set the value of a step."""
        with self._change(trial_id) as (trial, batch):
            value = float(intermediate_value)
            trial.intermediate_values = trial.intermediate_values | {step: value}
            batch.intermediate[trial_id, step] = value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute."""
        self._check_key(key)
        with self._change(trial_id) as (trial, batch):
            written = json.dumps(value)
            trial.user_attrs = trial.user_attrs | {key: json.loads(written)}  # as it will be read
            batch.user_attrs[trial_id, key] = written

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute that Optuna's samplers and pruners keep."""
        self._check_key(key)
        with self._change(trial_id) as (trial, batch):
            written = json.dumps(value)
            trial.system_attrs = trial.system_attrs | {key: json.loads(written)}
            batch.system_attrs[trial_id, key] = written

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """End a trial; or, in the database at once, take one that waits: False says that another was faster."""
        if not state.is_finished():
            return self._move(trial_id, state, values)
        with self._change(trial_id) as (trial, batch):
            trial.values = trial.values if values is None else [float(value) for value in values]
            trial.state, trial.datetime_complete = state, datetime.now()
            batch.values.update({(trial_id, index): value for index, value in enumerate(trial.values or ())})
            batch.ends[trial_id] = state, utc(trial.datetime_complete)
        return True

    def _move(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> bool:
        with self._lock:
            mirror = self._mirror_with(trial_id)
            self.check_trial_is_updatable(trial_id, mirror.trials[trial_id].state)
            if state == TrialState.RUNNING and values is None:
                study_id = self._tables.study_of(trial_id)
                with self._up_to_date(study_id, mirror):
                    moved = self._tables.claim(study_id, trial_id)
            else:
                self.flush()
                moved = self._backend.set_trial_state_values(trial_id, state, values)
            self._refresh(mirror, trial_id, own=moved or trial_id in mirror.own)
            if not moved:
                self.check_trial_is_updatable(trial_id, mirror.trials[trial_id].state)
            return moved

    @contextmanager
    def _up_to_date(self, study_id: int, mirror: Mirror) -> Iterator[None]:
        """Learn at once what others did where the study is full: it is they who filled it."""
        try:
            yield
        except StudyFull:
            self._sync(study_id, mirror)
            raise

    @contextmanager
    def _change(self, trial_id: int) -> Iterator[tuple[FrozenTrial, Batch]]:
        """A trial to change, and where to write it down; nothing has happened where the body raises."""
        with self._lock:
            mirror = self._mirror_with(trial_id)
            if trial_id in mirror.foreign:
                self._refresh(mirror, trial_id, own=True)
            trial = copy.copy(mirror.trials[trial_id])
            self.check_trial_is_updatable(trial_id, trial.state)
            with self._writer.batch() as batch:
                yield trial, batch
            mirror.replace(trial)

    def _refresh(self, mirror: Mirror, trial_id: int, *, own: bool) -> None:
        """Read a trial that others may have changed; one that runs is this process's own from now on if ``own``."""
        if self._writer.holds(trial_id):
            self.flush()
        for trial in self._tables.read([trial_id]):
            mirror.put(trial, own=own)

    def _read_again(self, trial_ids: Collection[int]) -> None:
        for trial in self._tables.read(trial_ids):
            self._mirror_with(trial._trial_id).put_all([trial])

    def _check_key(self, key: str) -> None:
        if self._limits_keys and len(key) > MAX_INDEXED_STRING_LENGTH:
            raise StorageInternalError(f"names have at most {MAX_INDEXED_STRING_LENGTH} characters: {key!r}")


def _leave(writer: Writer, membership: Membership) -> None:
    try:
        writer.flush()
    except LeaseLost:
        writer.forget()
    except StorageInternalError:
        membership.vanish()
        raise
    membership.leave()


def _close(writer: Writer, membership: Membership, backend: RDBStorage) -> None:
    try:
        if membership.worker is not None:
            _leave(writer, membership)
        writer.close()
    finally:
        backend.remove_session()
        backend.engine.dispose()


def _abandon(writer: Writer, membership: Membership, backend: RDBStorage) -> None:
    """Close on behalf of a storage that is gone: nobody is left to take an error."""
    try:
        _close(writer, membership, backend)
    except StorageInternalError as error:
        log.warning("%s", error)
