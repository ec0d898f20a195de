"""The files of a first project, as they lie beside this module."""

from pathlib import Path

from tuner.errors import InputError

_FILES = Path(__file__).parent / "project"
_OTHER_NAMES = {"gitignore.txt": ".gitignore"}  # a file of that name here would be this project's own


def lay_out(folder: Path) -> list[Path]:
    """Write a project that runs as it is; the files that were written.

    Raises:
        InputError: one of its files is there already, or the folder cannot be written to; nothing was written.
    """
    sources = [path for path in sorted(_FILES.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    files = {_placed(folder, source): source.read_bytes() for source in sources}
    write(files)
    return list(files)


def write(files: dict[Path, bytes]) -> None:
    """Write new files, all of them or none.

    Raises:
        InputError: one of them is there already, or cannot be written.
    """
    for path in files:
        if path.exists():
            raise InputError(
                "there is a file of this name already", str(path), "Name another folder, or move the file away."
            )
    written: list[Path] = []
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                written.append(path)
                file.write(content)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        place = error.filename or path
        raise InputError("the file cannot be written", f"{place}: {error.strerror}", "Name another folder.") from error


def _placed(folder: Path, source: Path) -> Path:
    return folder / source.relative_to(_FILES).with_name(_OTHER_NAMES.get(source.name, source.name))
