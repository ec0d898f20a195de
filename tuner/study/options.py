"""How to run a study."""

from dataclasses import dataclass

from tuner.errors import InputError
from tuner.study.storage import check_storage_url
from tuner.tracking import absolute, check_tracking_uri, without_credentials

DEFAULT_STORAGE = "sqlite:///tuner.db"
DEFAULT_TRACKING = "sqlite:///mlflow.db"
DEFAULT_PARALLEL = 10  # TPE draws its first ten trials at random: side by side they cost it nothing
DEFAULT_TRIALS = 100
DEFAULT_CHECKPOINT = 60.0
DEFAULT_LEASE = 60.0
_LEAST_LEASE = 3.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run a study.

    trials: that the study shall hold in the end. timeout: seconds until nothing more is asked. storage: an Optuna URL.
    tracking_uri: an MLflow URI, None tracks nothing. parallel_trials: side by side, None for the default.
    seed: of sampler and trainings. deterministic: decide nothing by what was measured.
    allow_changed: go on although the experiment is not what it was. checkpoint_every: seconds from one checkpoint of
    half-trained trials to the next, 0 keeps none. checkpoint_dir: where they are; beside the database by default.
    lease: seconds that a worker may be silent until others take its trials over. command: that is run, to be shown.
    """

    trials: int = DEFAULT_TRIALS
    timeout: float | None = None
    storage: str = DEFAULT_STORAGE
    tracking_uri: str | None = DEFAULT_TRACKING
    parallel_trials: int | None = None
    seed: int = 0
    deterministic: bool = False
    allow_changed: bool = False
    checkpoint_every: float = DEFAULT_CHECKPOINT
    checkpoint_dir: str | None = None
    lease: float = DEFAULT_LEASE
    command: str | None = None

    def check(self) -> None:
        """Check what can be checked without touching anything.

        Raises:
            InputError: a number or address cannot be what it is.
        """
        for name, value, least in (("trials", self.trials, 0), ("parallel-trials", self.parallel_trials, 1)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise InputError(f"--{name} must be a whole number of at least {least}", value, "Give another.")
        if self.timeout is not None and not self.timeout > 0:
            raise InputError("--timeout must be a number of seconds above 0", self.timeout, "Give another.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise InputError("--seed must be a whole number from 0 to 2**32 - 1", self.seed, "Give --seed 0.")
        if not 0 <= self.checkpoint_every < float("inf"):
            raise InputError(
                "--checkpoint-every must be a number of seconds of at least 0", self.checkpoint_every, "0 keeps none."
            )
        if not _LEAST_LEASE <= self.lease < float("inf"):
            what = f"--lease must be a number of seconds of at least {_LEAST_LEASE:g}"
            raise InputError(what, self.lease, "A worker that is busy must have the time to say that it is alive.")
        check_storage_url(self.storage)
        if self.tracking_uri is not None:
            check_tracking_uri(self.tracking_uri)

    @property
    def parallel(self) -> int:
        """Trials side by side."""
        return self.parallel_trials or DEFAULT_PARALLEL

    @property
    def shown_tracking_uri(self) -> str | None:
        """The tracking URI without credentials."""
        return None if self.tracking_uri is None else absolute(without_credentials(self.tracking_uri))
