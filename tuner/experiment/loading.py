"""Experiment files: a Python file that defines ``experiment``, anywhere on disk."""

import hashlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tuner.data.datasets import experiment_folder
from tuner.errors import InputError, nearest
from tuner.experiment.definition import Experiment


@dataclass(frozen=True)
class Source:
    """Where an experiment comes from: its file, its name in the file, and its project's root."""

    file: Path
    name: str
    root: Path

    @property
    def text(self) -> str:
        """As the command line takes it."""
        return str(self.file) if self.name == "experiment" else f"{self.file}:{self.name}"

    @property
    def importable(self) -> list[Path]:
        """The folders whose modules the file can import: its project's root, its own, the one you stand in."""
        return list(dict.fromkeys([self.root, self.file.parent, Path.cwd()]))


def load_experiment(reference: str) -> tuple[Experiment, Source]:
    """Load ``file.py`` or ``file.py:name``.

    The folder you stand in, the file's folder and its project's root are importable while the file runs.

    Raises:
        InputError: the file is missing, does not parse, raises, or defines no such experiment.
    """
    source = _source(reference)
    module = _execute(source)
    found = getattr(module, source.name, None)
    if isinstance(found, Experiment):
        return found, source
    names = [name for name, value in vars(module).items() if isinstance(value, Experiment)]
    hint = nearest(source.name, names) if names else "Define experiment = tuner.Experiment(...) in it."
    raise InputError(f"{source.file} defines no experiment of this name", source.name, hint)


def project_root(file: Path) -> Path:
    """The nearest parent with a pyproject.toml, or the file's folder where there is none."""
    return next((folder for folder in file.parents if (folder / "pyproject.toml").is_file()), file.parent)


def _source(reference: str) -> Source:
    path, colon, name = reference.rpartition(":")
    if not colon or not path.endswith(".py"):
        path, name = reference, "experiment"
    file = Path(path).expanduser().absolute()
    if not file.is_file():
        what = "the experiment file is a folder" if file.is_dir() else "the experiment file does not exist"
        raise InputError(what, path, "Give the path of a Python file that defines an experiment.")
    return Source(file, name, project_root(file))


def _execute(source: Source) -> ModuleType:
    try:
        code = compile(source.file.read_text(encoding="utf-8"), str(source.file), "exec")
    except SyntaxError as error:
        where = f"{source.file}, line {error.lineno}"
        raise InputError("the experiment file has a syntax error", f"{where}: {error.msg}", "Mend it.") from None
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError("the experiment file is not Python source", f"{source.file}: {error}", "Mend it.") from None
    module = ModuleType(f"tuner_experiment_{hashlib.sha256(str(source.file).encode()).hexdigest()[:12]}")
    module.__file__ = str(source.file)
    sys.modules[module.__name__] = module
    _make_importable(source)
    with _beside(source.file.parent):
        try:
            exec(code, module.__dict__)  # noqa: S102  running the user's file is what loading it means
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError("the experiment file raises", describe(error, source.file), "Mend it.") from error
    return module


def describe(error: BaseException, file: Path | None = None) -> str:
    """An exception in one line, with the last place in the user's file that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if file is None or frame.filename == str(file)]
    last = (own or frames)[-1:]
    place = f" ({Path(last[0].filename).name}, line {last[0].lineno})" if last else ""
    return f"{type(error).__name__}: {error}{place}"


def file_of(function: object) -> Path | None:
    """The file that a function was written in, if it is one."""
    code = getattr(function, "__code__", None)
    return Path(code.co_filename) if code is not None else None


def _make_importable(source: Source) -> None:
    """Put the three folders on sys.path; they stay, since a search space may import while it runs."""
    for folder in map(str, source.importable):
        if folder not in sys.path:
            sys.path.insert(0, folder)


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    token = experiment_folder.set(folder)
    try:
        yield
    finally:
        experiment_folder.reset(token)
