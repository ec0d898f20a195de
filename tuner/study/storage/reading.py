"""The half of the storage that reads: trials come from memory, and are read again where others may change them."""

import copy
import threading
import time
from collections.abc import Container

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from tuner.study.storage.mirror import Mirror
from tuner.study.storage.studies import Studies
from tuner.study.storage.tables import Tables
from tuner.study.storage.writer import patiently

_SYNC_SECONDS = 1.0  # how old what is known of other processes' trials may be


class Reading(Studies):
    """Answers from memory.

    Args:
        backend: Optuna's storage of the database.
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._tables = Tables(backend)
        self._lock = threading.RLock()
        self._mirrors: dict[int, Mirror] = {}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial; what is returned does not change later.

        Raises:
            KeyError: there is none of this id.
        """
        with self._lock:
            return self._mirror_with(trial_id).trials[trial_id]

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """The id of the trial of this number.

        Raises:
            KeyError: there is none.
        """
        with self._lock:
            mirror = self._mirror(study_id)
            if trial_number not in mirror.ids:
                self._sync(study_id, mirror)
            return mirror.ids[trial_number]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,  # noqa: FBT001, FBT002  Optuna's signature
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """A study's trials, by number; the list and its trials do not change later.

        Raises:
            KeyError: there is no such study.
        """
        with self._lock:
            trials = self._mirror(study_id, whole=states is None or TrialState.RUNNING in states).select(states)
        return copy.deepcopy(trials) if deepcopy else trials

    def _mirror(self, study_id: int, *, whole: bool = False) -> Mirror:
        """A study's mirror: read as a whole at first, and no older than a second where others write.

        Args:
            study_id: of the study.
            whole: whether what the trials that others run have reported so far is wanted too.
        """
        mirror = self._mirrors.get(study_id)
        if mirror is None:
            mirror = Mirror()
            mirror.put_all(patiently(lambda: self._backend.get_all_trials(study_id, deepcopy=False)))
            mirror.seen = max(mirror.trials, default=-1)
            mirror.synced = mirror.synced_whole = time.monotonic()
            self._mirrors[study_id] = mirror
        elif time.monotonic() - (mirror.synced_whole if whole else mirror.synced) > _SYNC_SECONDS:
            self._sync(study_id, mirror, whole=whole)
        return mirror

    def _mirror_with(self, trial_id: int) -> Mirror:
        """The mirror that has a trial.

        Raises:
            KeyError: there is no such trial.
        """
        for mirror in self._mirrors.values():
            if trial_id in mirror.trials:
                return mirror
        study_id = self._tables.study_of(trial_id)
        mirror = self._mirror(study_id)
        if trial_id not in mirror.trials:
            self._sync(study_id, mirror)
        return mirror

    def _sync(self, study_id: int, mirror: Mirror, *, whole: bool = False) -> None:
        """Read what other processes did. Ids grow with the order in which a study's trials are committed.

        What their running trials report is read only where the ``whole`` is wanted: it grows with every epoch.
        """
        mirror.synced = time.monotonic()
        mirror.synced_whole = mirror.synced if whole else mirror.synced_whole
        states = self._tables.states(study_id, mirror.seen, mirror.foreign)
        if stale := mirror.stale(states, whole=whole):
            mirror.put_all(self._tables.read(stale))
        mirror.seen = max([mirror.seen, *states])
