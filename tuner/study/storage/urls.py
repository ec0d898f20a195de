"""What a database URL says without a connection: its file, whether it can be right, how it is shown."""

from pathlib import Path

import sqlalchemy
from sqlalchemy.engine import URL, make_url

from tuner.errors import InputError
from tuner.tracking import check_at_signs, without_credentials


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for other databases and for SQLite in memory."""
    parsed = _parsed(url)
    if parsed is None:
        return None
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}
    return Path(str(parsed.database)) if is_file and not str(parsed.database).startswith("file:") else None


def without_password(url: str) -> str:
    """The URL with its user and password taken out, for messages and for what a study remembers."""
    return without_credentials(url)


def check_storage_url(url: str) -> None:
    """Check what can be checked of a storage URL without touching it.

    Raises:
        InputError: no URL, or an SQLite file whose folder does not exist.
    """
    check_at_signs(url)
    if _parsed(url) is None:
        raise InputError("the storage is no database URL", without_password(url), "Write sqlite:///tuner.db, say.")
    file = sqlite_file(url)
    if file is not None and not file.absolute().parent.is_dir():
        raise InputError("the folder of the SQLite database does not exist", str(file.parent), "Make it first.")
    if file is not None and file.is_dir():
        raise InputError("the SQLite database is a folder", str(file), "Name a file.")


def _parsed(url: str) -> URL | None:
    try:
        return make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # a port that is no number, say
        return None
