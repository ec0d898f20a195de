"""Experiments: what is tuned, how a file defines it, and what can be checked before anything is trained."""

from tuner.experiment.arrays import arrays_of
from tuner.experiment.checking import Checked, check, notes_of
from tuner.experiment.definition import Experiment
from tuner.experiment.fingerprint import Fingerprint, changes, fingerprint
from tuner.experiment.init_from import InitFrom
from tuner.experiment.loading import Source, load_experiment
from tuner.experiment.overrides import override
from tuner.experiment.sampling import resolve

__all__ = [
    "Checked",
    "Experiment",
    "Fingerprint",
    "InitFrom",
    "Source",
    "arrays_of",
    "changes",
    "check",
    "fingerprint",
    "load_experiment",
    "notes_of",
    "override",
    "resolve",
]
