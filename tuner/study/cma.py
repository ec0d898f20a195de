"""Optuna's CMA-ES sampler without pickle: what the database holds of its state is plain data.

Optuna keeps the state of the optimizer pickled in the attributes of trials, so whoever can write to a database could
have any code run by whoever resumes a study of it.
"""

import copy
import json
import logging
from importlib import import_module
from typing import Any

import numpy as np
from optuna.samplers import CmaEsSampler
from optuna.trial import FrozenTrial

_KINDS = ("CMA", "CMAwM", "SepCMA")

log = logging.getLogger("tuner")


class PlainCmaEs(CmaEsSampler):
    """Optuna's sampler; its state is stored as JSON, and what is no such state is not read."""

    _current: Any = None

    @classmethod
    def of(cls, sampler: CmaEsSampler) -> "PlainCmaEs":
        """The same sampler, storing plain data; of a user's own kind if it is of one."""
        own = type(sampler)
        kind: type[PlainCmaEs] = cls if own is CmaEsSampler else type(own.__name__, (cls, own), {})
        plain = object.__new__(kind)
        vars(plain).update(vars(sampler))
        return plain

    def _init_optimizer(self, *arguments: Any, **named: Any) -> Any:
        self._current = super()._init_optimizer(*arguments, **named)
        return self._current

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        """The optimizer as the last trial has it that stored one; None where that cannot be read."""
        for trial in reversed(completed_trials):
            stored = {k: v for k, v in trial.system_attrs.items() if k.startswith(self._attr_key_optimizer)}
            if stored:
                self._current = self._read(trial.number, stored)
                return self._current
        return None

    def _read(self, number: int, stored: dict[str, Any]) -> Any:
        try:
            return _decoded(json.loads(self._concat_optimizer_attrs(stored)))
        except Exception as error:  # noqa: BLE001  anybody may have written it, and each way to be wrong raises its own
            log.warning("what trial %d holds of CMA-ES cannot be read, it starts anew: %s", number, error)
            return None

    def _split_optimizer_str(self, optimizer_str: str) -> dict[str, str]:
        """What is stored: the state as JSON, not what Optuna pickled."""
        del optimizer_str
        return super()._split_optimizer_str(json.dumps(_encoded(self._current)))


def _encoded(value: Any) -> Any:
    kind = type(value).__name__
    if kind in _KINDS:
        state = value.__getstate__() if hasattr(type(value), "__setstate__") else vars(value)
        return {"kind": kind, "state": {name: _encoded(item) for name, item in state.items()}}
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.str, "shape": value.shape, "values": value.ravel().tolist()}
    return value.item() if isinstance(value, np.generic) else value


def _decoded(stored: Any) -> Any:
    """An optimizer.

    Raises:
        Exception: it is none, or one that proposes nothing.
    """
    optimizer = _object(stored["kind"], stored["state"])
    proposed = copy.deepcopy(optimizer).ask()
    if not np.isfinite(np.concatenate([np.ravel(part) for part in proposed])).all():
        raise ValueError("it proposes no numbers")
    return optimizer


def _object(kind: str, stored: dict[str, Any]) -> Any:
    if kind not in _KINDS:
        raise ValueError(f"{kind!r} is no optimizer")
    state = {name: _value(item) for name, item in stored.items()}
    optimizer = object.__new__(getattr(import_module("cmaes"), kind))  # an extra
    if hasattr(optimizer, "__setstate__"):
        optimizer.__setstate__(state)
    else:
        vars(optimizer).update(state)
    return optimizer


def _value(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    if "kind" in item:
        return _object(item["kind"], item["state"])
    kind = np.dtype(item["dtype"])
    if kind.hasobject:
        raise ValueError(f"arrays of {kind}")
    return np.asarray(item["values"], kind).reshape(item["shape"])
