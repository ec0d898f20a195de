"""Trials as Optuna gives them out, read by one plain SELECT for each kind of value.

Optuna's own models take a millisecond for each trial: with many workers each reads what all the others do.
"""

import functools
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Row, select

from tuner.study.storage.rows import local

_trials = models.TrialModel.__table__
_params = models.TrialParamModel.__table__
_values = models.TrialValueModel.__table__
_intermediate = models.TrialIntermediateValueModel.__table__
_attributes = (models.TrialUserAttributeModel.__table__, models.TrialSystemAttributeModel.__table__)

distribution = functools.lru_cache(maxsize=4096)(optuna.distributions.json_to_distribution)


def read_trials(connection: Connection, trial_ids: Sequence[int]) -> list[FrozenTrial]:
    """Trials in the order of their ids; those that do not exist are left out."""
    rows = connection.execute(
        select(_trials).where(_trials.c.trial_id.in_(trial_ids)).order_by(_trials.c.trial_id)
    ).all()
    found = [row.trial_id for row in rows]
    parameters = _of_each(connection, _params, found, _params.c.param_id)
    values = _of_each(connection, _values, found, _values.c.objective)
    steps = _of_each(connection, _intermediate, found, _intermediate.c.step)
    user, system = (_of_each(connection, table, found, table.c[0]) for table in _attributes)
    return [
        FrozenTrial(
            number=row.number,
            state=row.state,
            value=None,
            values=[_value(each) for each in values[row.trial_id]] or None,
            datetime_start=local(row.datetime_start),
            datetime_complete=local(row.datetime_complete),
            params={each.param_name: _external(each) for each in parameters[row.trial_id]},
            distributions={each.param_name: distribution(each.distribution_json) for each in parameters[row.trial_id]},
            user_attrs={each.key: json.loads(each.value_json) for each in user[row.trial_id]},
            system_attrs={each.key: json.loads(each.value_json) for each in system[row.trial_id]},
            intermediate_values={each.step: _intermediate_value(each) for each in steps[row.trial_id]},
            trial_id=row.trial_id,
        )
        for row in rows
    ]


def _of_each(connection: Connection, table: Any, trial_ids: Sequence[int], order: Any) -> dict[int, list[Row[Any]]]:
    """The rows of a table by trial."""
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(select(table).where(table.c.trial_id.in_(trial_ids)).order_by(order)):
        found[row.trial_id].append(row)
    return found


def _external(row: Row[Any]) -> Any:
    return distribution(row.distribution_json).to_external_repr(row.param_value)


def _value(row: Row[Any]) -> float:
    return models.TrialValueModel.stored_repr_to_value(row.value, row.value_type)


def _intermediate_value(row: Row[Any]) -> float:
    model = models.TrialIntermediateValueModel
    return model.stored_repr_to_intermediate_value(row.intermediate_value, row.intermediate_value_type)
