"""A user's own project: laid out ready to run, or an experiment written for a table that is there."""

from tuner.init.project_files import lay_out
from tuner.init.table import write_experiment

__all__ = ["lay_out", "write_experiment"]
