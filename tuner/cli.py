"""The commands: parse, call, print. They import what they need when they run, so that ``--help`` answers at once."""

import contextlib
import functools
import json
import logging
import os
import shlex
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import click

from tuner.errors import InputError

_STARTED = time.perf_counter()

_ARGUMENTS = slice(45, 47)  # where they begin and end: of the fields behind the name in /proc/self/stat

_STORAGE = "sqlite:///tuner.db"
_TRACKING = "sqlite:///mlflow.db"

# By the environment a URL shows its password to nobody, not even to who lists this machine's processes.
_STORAGE_VARIABLE = "TUNER_STORAGE"
_TRACKING_VARIABLES = ("TUNER_TRACKING_URI", "MLFLOW_TRACKING_URI")

storage_option = click.option(
    "--storage",
    metavar="URL",
    envvar=_STORAGE_VARIABLE,
    show_envvar=True,
    default=_STORAGE,
    show_default=True,
    help="Optuna's database.",
)
_any_tracking_option = functools.partial(
    click.option, "--tracking-uri", metavar="URI", envvar=_TRACKING_VARIABLES, show_envvar=True
)
tracking_option = _any_tracking_option(default=_TRACKING, show_default=True, help="MLflow's store or server.")
own_tracking_option = _any_tracking_option(help="MLflow's store or server; the study's own by default.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, nothing else.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress.")
set_option = click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True, help="Override a field: epochs=5, data.limit=500."
)
timeout_option = click.option("--timeout", type=float, metavar="SECONDS", help="Ask for no further trial after it.")
changed_option = click.option("--allow-changed", is_flag=True, help="Go on although the experiment changed.")

every_option = click.option(
    "--checkpoint-every",
    type=float,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="From one checkpoint of half-trained trials to the next; 0 keeps none.",
)
lease_option = click.option(
    "--lease",
    type=float,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long this process may be silent until others that run the study take its trials over.",
)
dir_option = click.option(
    "--checkpoint-dir", metavar="FOLDER", help="Where checkpoints are; beside an SQLite database by default."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tuner")
def app() -> None:
    """Tune JAX models: all folds of many trials train together as lanes of one compiled program."""


@app.command()
@click.argument("experiment")
@click.option("--trials", type=int, default=100, show_default=True, help="Trials that the study holds in the end.")
@timeout_option
@click.option("--study", metavar="NAME", help="The study's name; the experiment's by default.")
@storage_option
@tracking_option
@click.option("--parallel-trials", metavar="N|auto", default="auto", show_default=True, help="Trials side by side.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sampler and of every training.")
@set_option
@click.option("--deterministic", is_flag=True, help="Decide nothing by measured times, so that a study is repeatable.")
@changed_option
@every_option
@dir_option
@lease_option
@click.option(
    "--ray",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Let Ray run the workers: of the cluster at HOST:PORT or auto, else on this machine.",
)
@click.option("--workers", type=int, metavar="N", help="With --ray: how many; one a GPU, else one a machine.")
@quiet_option
@json_option
def run(
    experiment: str,
    *,
    study: str | None,
    parallel_trials: str,
    settings: tuple[str, ...],
    ray: str | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
    **chosen: Any,
) -> str:
    """Run a study of EXPERIMENT, a Python file or FILE.py:NAME, to a total number of trials."""
    from tuner.experiment import load_experiment
    from tuner.report.pictures import pictures_of
    from tuner.study import Options, run_study

    if workers is not None and ray is None:
        fix = "Add --ray, or give this command as often, each with the same PostgreSQL as --storage."
        raise InputError("--workers goes with --ray", workers, fix)

    options = Options(parallel_trials=_parallel(parallel_trials), command=_command(), **chosen)
    options.check()
    _quieten()
    progress = None if quiet else _progress(options.trials)
    if ray is not None:
        from tuner.cluster import run_on_ray

        result = run_on_ray(
            experiment, settings, study, options, address=ray, workers=workers, progress=progress, say=_say
        )
        return _shown(result, options.storage, as_json=as_json)
    loaded, source = load_experiment(experiment)
    result = run_study(
        loaded, source, settings, study, options, progress=progress, say=_say, draw=pictures_of, began=_STARTED
    )
    return _shown(result, options.storage, as_json=as_json)


@app.command()
@click.argument("study")
@click.option("--trials", type=int, default=100, show_default=True, help="Trials that the study holds in the end.")
@timeout_option
@storage_option
@own_tracking_option
@changed_option
@every_option
@dir_option
@lease_option
@quiet_option
@json_option
def resume(study: str, *, quiet: bool, as_json: bool, **chosen: Any) -> str:
    """Complete STUDY from what it remembers."""
    from tuner.report.pictures import pictures_of
    from tuner.study import Options, resume_study

    options = Options(command=_command(), **chosen)
    _quieten()
    progress = None if quiet else _progress(options.trials)
    result = resume_study(study, options, progress=progress, say=_say, draw=pictures_of, began=_STARTED)
    return _shown(result, options.storage, as_json=as_json)


@app.command()
@click.argument("study")
@storage_option
@own_tracking_option
@json_option
def sync(study: str, storage: str, tracking_uri: str | None, *, as_json: bool) -> str:
    """Write to MLflow what it missed of STUDY while it was away."""
    from tuner.report.pictures import pictures_of
    from tuner.study import sync_study

    _quieten()
    result = sync_study(study, storage, tracking_uri, pictures_of)
    return _shown(result, storage, as_json=as_json)


@app.command()
@storage_option
@json_option
def studies(storage: str, *, as_json: bool) -> str:
    """List the studies of a database."""
    from tuner.report.summary import table
    from tuner.study import all_results, without_password

    _quieten()
    results = all_results(storage)
    if as_json:
        return _json({"studies": [result.as_json() for result in results]})
    return table(results) if results else f"no studies in {without_password(storage)}"


@app.command()
@click.argument("study")
@storage_option
@json_option
def show(study: str, storage: str, *, as_json: bool) -> str:
    """Show what STUDY found and what it cost; it may run elsewhere meanwhile."""
    from tuner.study import load_with_memory, result_of

    _quieten()
    return _shown(result_of(*load_with_memory(study, storage)), storage, as_json=as_json, full=True)


@app.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option(
    "--from", "table", metavar="FILE", type=click.Path(path_type=Path), help="A CSV or Parquet file of your own."
)
@click.option("--target", metavar="COLUMN", help="With --from: the column to predict.")
def init(folder: Path, table: Path | None, target: str | None) -> str:
    """Lay out a first project in FOLDER, or write an experiment for a table that you have."""
    from tuner.init import lay_out, write_experiment

    if (table is None) != (target is None):
        what = "--from and --target go together"
        raise InputError(what, str(table or target), "Give both: tuner init --from data.csv --target COLUMN.")
    go = "" if folder == Path() else f"  cd {shlex.quote(str(folder))}\n"
    if table is None or target is None:
        files = lay_out(folder)
        listed = "".join(f"  {file}\n" for file in files)
        return f"{listed}ready; next:\n{go}  tuner run experiments/first.py --trials 10"
    file, what = write_experiment(table, target, folder)
    shown = shlex.quote(os.path.relpath(file))
    return f"{what}\nwrote {shown}; next:\n  tuner check {shown}\n  tuner run {shown} --trials 50"


@app.command()
@click.argument("study")
@storage_option
@click.option(
    "--to",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="HTML, or Markdown with a folder of pictures, by its ending; STUDY.html by default.",
)
@click.option(
    "--against", type=int, metavar="TRIAL", help="Compare the best trial with this one; the first by default."
)
@json_option
def report(study: str, storage: str, to: Path | None, against: int | None, *, as_json: bool) -> str:
    """Write what STUDY searched, what it found, how sure that is, what it cost and how to do it again."""
    from tuner.report.written import file_name, sections_of, write_report
    from tuner.study import load_with_memory, result_of

    _quieten()
    result = result_of(*load_with_memory(study, storage))
    sections = sections_of(result, against)
    files = [str(file) for file in write_report(sections, f"Study {study}", to or Path(f"{file_name(study)}.html"))]
    return _json({"files": files}) if as_json else f"wrote {files[0]}"


@app.command()
@click.argument("experiment")
@set_option
@json_option
def check(experiment: str, settings: tuple[str, ...], *, as_json: bool) -> str:
    """Check all of EXPERIMENT that can be checked without training."""
    from tuner.experiment import load_experiment, override
    from tuner.report.checked import checked_as_json, checked_as_text

    _quieten()
    loaded, _ = load_experiment(experiment)
    loaded = override(loaded, settings)
    return _json(checked_as_json(loaded)) if as_json else checked_as_text(loaded)


@app.command()
@tracking_option
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on; another lets others look."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="A free one is taken if it is not."
)
@click.option("--open", "open_browser", is_flag=True, help="Send the browser there.")
def ui(tracking_uri: str, host: str, port: int, *, open_browser: bool) -> None:
    """Browse the results in the MLflow UI."""
    from tuner.tracking import check_tracking_uri, serve_ui

    check_tracking_uri(tracking_uri)
    sys.exit(serve_ui(tracking_uri, port, host, open_browser=open_browser))


@app.command()
@storage_option
@tracking_option
@json_option
def doctor(storage: str, tracking_uri: str, *, as_json: bool) -> str:
    """Say what there is on this machine, and whether what tuner needs works: 1 is the exit code where it does not."""
    from tuner.report import doctor as report

    _quieten()
    findings = report.examine(storage, tracking_uri)
    said = _json(report.as_json(findings)) if as_json else report.as_text(findings)
    if any(finding.works is False for finding in findings):
        raise NotWell(said)
    return said


@app.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> str:
    """Print the completion of SHELL for tuner: eval "$(tuner completion bash)" switches it on."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise InputError("there is no completion for this shell", shell, "Name bash, zsh or fish.")
    return kind(app, {}, "tuner", "_TUNER_COMPLETE").source()


class NotWell(Exception):
    """Something that tuner needs does not work; the message is what was found."""


def command() -> None:
    """Run the command line and end the process at once: all is written, and tearing JAX down takes another second."""
    _hide_credentials()
    try:
        main()
    except SystemExit as leave:
        if storage := sys.modules.get("tuner.study.storage"):
            storage.close_databases()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(leave.code if isinstance(leave.code, int) else 1)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    sys.exit(_exit_code(words, as_json="--json" in words))


def _exit_code(words: list[str], *, as_json: bool) -> int:
    try:
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():  # a user's code may print
            answer = app.main(words, prog_name="tuner", standalone_mode=False, obj=words)
    except (KeyboardInterrupt, click.Abort) as interruption:
        said = interruption.__cause__ or interruption  # click wraps what Ctrl-C raised
        click.echo(str(said) or "interrupted", err=True)
        return getattr(said, "code", 130)
    except (InputError, click.UsageError) as error:
        _refuse(error, words, as_json=as_json)
        return 2
    except NotWell as found:
        click.echo(str(found))
        return 1
    except Exception as error:  # noqa: BLE001  whatever fails while running is exit code 1, said once
        _fail(error, as_json=as_json)
        return 1
    if isinstance(answer, str):
        click.echo(answer)
    return 0


def _refuse(error: InputError | click.UsageError, words: list[str], *, as_json: bool) -> None:
    if isinstance(error, InputError):
        _complain(error.what, error.value, error.fix, as_json=as_json)
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
    else:
        command = error.ctx.command_path if error.ctx else "tuner"
        shown = {word: _without_credentials(word) for word in words}
        message = functools.reduce(lambda text, word: text.replace(word, shown[word]), words, error.format_message())
        _complain(message, " ".join(map(shown.__getitem__, words)), f"See {command} --help.", as_json=as_json)


def _command() -> str:
    """What was typed, as it may be shown."""
    words = click.get_current_context().find_root().obj or []
    return shlex.join(["tuner", *map(_without_credentials, words)])


def _without_credentials(word: str) -> str:
    """A word of the command line as it may be repeated; ``--storage=URL`` is one."""
    from tuner.tracking import without_credentials

    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return option + equals + without_credentials(value)


def _hide_credentials() -> None:
    """Take passwords out of what this process shows as its arguments, where it may: on Linux. Ours keep them."""
    if not any("@" in word or "?" in word for word in sys.argv):
        return
    with contextlib.suppress(OSError):
        begin, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_ARGUMENTS])
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(begin)
            words = memory.read(end - begin).split(b"\0")
            shown = [os.fsencode(_without_credentials(os.fsdecode(word))).ljust(len(word)) for word in words]
            memory.seek(begin)
            memory.write(b"\0".join(shown))


def _fail(error: Exception, *, as_json: bool) -> None:
    from tuner.study import DatabaseGone, NotTracked, StudyFailed

    if isinstance(error, NotTracked):
        _complain("not all could be written", str(error), "Call it again when MLflow is there.", as_json=as_json)
    elif isinstance(error, DatabaseGone):
        _complain("the study stopped", str(error), "What had begun goes on with `tuner resume`.", as_json=as_json)
    else:
        if not isinstance(error, StudyFailed):
            traceback.print_exception(error)
        _complain("the study failed", str(error), "See the log above.", as_json=as_json)


def _complain(what: str, value: str, fix: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(_json({"error": {"what": what, "value": value, "fix": fix}}))
    else:
        click.echo(f"error: {what}: {value}\n  {fix}", err=True)


def _parallel(text: str) -> int | None:
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError:
        fix = "Write --parallel-trials 8, say."
        raise InputError("--parallel-trials takes a whole number or auto", text, fix) from None


def _quieten() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _progress(total: int) -> Any:
    from tuner.report.progress import progress_of

    return progress_of(total)


def _say(sentence: str) -> None:
    click.echo(f"note: {sentence}", err=True)


def _shown(result: Any, storage: str, *, as_json: bool, full: bool = False) -> str:
    from tuner.report.summary import summary

    if as_json:
        return _json(result.as_json())
    tracking = next((found for name in _TRACKING_VARIABLES if (found := os.environ.get(name))), _TRACKING)
    return summary(result, storage, usual=(os.environ.get(_STORAGE_VARIABLE) or _STORAGE, tracking), full=full)


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


if __name__ == "__main__":
    command()
