"""A study whose workers are Ray's."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

from tuner.cluster.connection import LOCAL, Machine, connected
from tuner.cluster.shares import default_workers, environment_of, share_of
from tuner.cluster.view import View
from tuner.errors import InputError
from tuner.experiment import load_experiment, override
from tuner.study import Interrupted, Options, StudyResult, without_password
from tuner.study.interrupt import TERMINATED, Interrupt, interruptible
from tuner.study.opening import study_name
from tuner.study.storage.tables import SHARED
from tuner.tracking import NullSink, Sink, absolute

if TYPE_CHECKING:
    from tuner.cluster.crew import Crew

_CREDENTIALS = ("PG", "MLFLOW_")  # how variables begin that name users and passwords, for PostgreSQL and for MLflow


def run_on_ray(
    reference: str,
    settings: Sequence[str],
    name: str | None,
    options: Options,
    *,
    address: str,
    workers: int | None = None,
    progress: Sink | None = None,
    say: Callable[[str], None],
) -> StudyResult:
    """Run a study with workers on a Ray cluster, each of them as ``run_study`` would.

    Args:
        reference: the experiment's file, which all machines see under this path.
        settings: ``KEY=VALUE`` overrides.
        name: of the study; the experiment's by default.
        options: how to run.
        address: of the cluster; ``local`` starts Ray on this machine.
        workers: how many; one a GPU by default, and where there are none one a machine.
        progress: a sink that shows what happens.
        say: takes a sentence for the user.

    Raises:
        InputError: something that was given is wrong.
        StudyFailed: the first trials all failed, or workers die as soon as they are started.
        Interrupted: by Ctrl-C or SIGTERM; what was finished is kept.
    """
    options.check()
    check_shared(options, workers)
    loaded, source = load_experiment(reference)
    experiment = override(loaded, settings)
    name = study_name(name, experiment)
    view = View(name, experiment, options.storage, progress or NullSink())
    if address == LOCAL:
        say("Ray starts on this machine, and listens to it alone")
    with contextlib.redirect_stdout(sys.stderr), connected(address) as machines:  # Ray prints what workers print
        _check_tracking(options, machines)
        from tuner.cluster.crew import Crew
        from tuner.cluster.worker import Order

        resources = [machine.resources for machine in machines]
        count = workers or default_workers(resources)
        share = share_of(resources, count)
        order = Order(
            source.text,
            tuple(settings),
            name,
            str(Path.cwd()),
            _anywhere(options),
            _credentials() | environment_of(share),
        )
        say(f"{count} worker{'s' if count > 1 else ''} on Ray, {share} each")
        with interruptible() as interrupted:
            crew = Crew(order, share, count, say)
            try:
                while crew.work() and not interrupted():
                    view.look()
            finally:
                _end(crew)
        view.look()
    return _result(view, interrupted)


def check_shared(options: Options, workers: int | None = None) -> None:
    """Check that several workers can share what the options name.

    Raises:
        InputError: they cannot.
    """
    if workers is not None and workers < 1:
        raise InputError("--workers must be a whole number of at least 1", workers, "Give another.")
    kind, shown = make_url(options.storage).get_backend_name(), without_password(options.storage)
    fix = "Give --storage postgresql+psycopg://USER@HOST/DATABASE."
    if kind == "sqlite":
        raise InputError("--ray puts workers on several machines, and SQLite is for one machine alone", shown, fix)
    if kind not in SHARED:
        raise InputError("the workers of --ray share a study in PostgreSQL, not in such a database", shown, fix)
    if options.deterministic:
        what = "--deterministic needs a worker that is alone, and --ray starts workers that share a study"
        raise InputError(what, "--deterministic", "Leave one of the two out.")


def _check_tracking(options: Options, machines: Sequence[Machine]) -> None:
    uri = options.shown_tracking_uri
    addresses = {machine.address for machine in machines}
    if uri is not None and uri.startswith("sqlite:") and len(addresses) > 1:
        what = f"the Ray cluster has {len(addresses)} machines, and MLflow's SQLite file is for one alone"
        fix = "Give --tracking-uri http://HOST:PORT, or a database on a server that is MLflow's alone."
        raise InputError(what, uri, fix)


def _anywhere(options: Options) -> Options:
    """The options with paths that mean the same in any folder."""
    uri, folder = options.tracking_uri, options.checkpoint_dir
    return replace(
        options,
        tracking_uri=uri and absolute(uri),
        checkpoint_dir=folder and str(Path(folder).absolute()),
    )


def _credentials() -> dict[str, str]:
    """The variables by which this process is known to databases and servers: the workers' machines may lack them."""
    return {name: value for name, value in os.environ.items() if name.startswith(_CREDENTIALS)}


def _end(crew: "Crew") -> None:
    try:
        crew.stop()
    finally:
        crew.dismiss()


def _result(view: View, interrupted: Interrupt) -> StudyResult:
    result = view.result()
    code = TERMINATED if interrupted.terminated else 128 + signal.SIGINT
    if interrupted.requested:
        raise KeyboardInterrupt if result is None else Interrupted(result, code)
    if result is None:
        raise RuntimeError("the workers ended without a study")
    return result
