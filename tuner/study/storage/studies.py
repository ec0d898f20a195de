"""What concerns a study as a whole: Optuna's own storage does it, at once, and again where the connection is lost."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tuner.study.storage.writer import patiently


class Studies(BaseStorage):
    """The study-level half of a storage.

    Args:
        backend: does it.
    """

    def __init__(self, backend: RDBStorage) -> None:
        self._backend = backend
        self._directions: dict[int, list[StudyDirection]] = {}

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Optuna's."""
        return self._backend.create_new_study(directions, study_name)

    def create_study_with(self, study_name: str, direction: StudyDirection, attributes: Mapping[str, Any]) -> bool:
        """Create a study with its user attributes at once; False says that it was there."""

        def create() -> bool:
            study = models.StudyModel(
                study_name=study_name,
                directions=[models.StudyDirectionModel(direction=direction, objective=0)],
                user_attributes=[
                    models.StudyUserAttributeModel(key=key, value_json=json.dumps(value))
                    for key, value in attributes.items()
                ],
            )
            try:
                with Session(self._backend.engine) as session, session.begin():
                    session.add(study)
            except IntegrityError:
                return False
            return True

        return patiently(create)

    def delete_study(self, study_id: int) -> None:
        """Optuna's."""
        self._directions.pop(study_id, None)
        patiently(lambda: self._backend.delete_study(study_id))

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Optuna's."""
        patiently(lambda: self._backend.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Optuna's."""
        patiently(lambda: self._backend.set_study_system_attr(study_id, key, value))

    def get_study_id_from_name(self, study_name: str) -> int:
        """Optuna's."""
        return patiently(lambda: self._backend.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        """Optuna's."""
        return patiently(lambda: self._backend.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Optuna's; they never change."""
        if study_id not in self._directions:
            self._directions[study_id] = patiently(lambda: self._backend.get_study_directions(study_id))
        return self._directions[study_id]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Optuna's."""
        return patiently(lambda: self._backend.get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Optuna's."""
        return patiently(lambda: self._backend.get_study_system_attrs(study_id))

    def names(self) -> list[str]:
        """The names of all studies, in order, whatever else is stored of them."""
        return patiently(self._names)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Optuna's."""
        return patiently(self._backend.get_all_studies)

    def _names(self) -> list[str]:
        with Session(self._backend.engine) as session:
            return sorted(session.scalars(select(models.StudyModel.study_name)))
