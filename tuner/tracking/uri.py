"""MLflow's addresses: checked before anything is written, shown without credentials."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, unquote_plus

from tuner.errors import InputError

_SCHEMES = ("databricks", "http", "https", "mssql", "mysql", "postgresql", "sqlite")
_AUTHORITY = re.compile(
    r"(?P<scheme>\s*(?>[\w+.-]+:/{0,2}))("  # what is misspelt may hold a password too
    r"[^:/?#@]*(:(?P<password>[^?#]*))?@"
    r"|[^:/@]*:(?P<rest>[^@/]*[?#][^@]*)@"  # a password that should have been escaped
    r"|(?<!http://)(?<!https://)[^:/@]*:(?P<sql>[^@]*)@"  # SQLAlchemy takes any character for one
    r")"
)
_SECRET_OPTION = re.compile(
    r"(?<=[?&])(user(name)?|uid|\w*(password|passwd|pwd|passphrase|token|secret)|odbc_connect)=(?P<value>[^&]*)&?",
    re.IGNORECASE,
)
_NAMES = {"user", "username", "uid"}  # not shown either, but too short and common to be taken out of sentences
_SQLITE = re.compile(r"(?P<start>sqlite(\+\w+)?:///)(?P<file>[^?]*)")
_SQLITE_HEADER = b"SQLite format 3\0"
_FIX = "Use sqlite:///mlflow.db, another database's URI, or a server's address (http://...)."


def check_tracking_uri(uri: str) -> None:
    """Check a tracking URI without MLflow and without touching what it names.

    Raises:
        InputError: a file store, which MLflow 3 refuses; an unknown scheme; an SQLite file that cannot be written.
    """
    scheme = _scheme(uri)
    if scheme in {"", "file"}:
        raise InputError("MLflow no longer writes to a folder of files", without_credentials(uri), _FIX)
    if scheme not in _SCHEMES:
        raise InputError("MLflow knows no such kind of store", without_credentials(uri), _FIX)
    if scheme in {"http", "https"} and not re.match(r"https?://([^/?#]*@)?[^/?#:@]", uri):
        raise InputError("the address names no server", without_credentials(uri), _FIX)
    if scheme == "sqlite":
        _check_sqlite(uri)
    if scheme not in {"http", "https"}:
        check_at_signs(uri)


def check_at_signs(uri: str) -> None:
    """Check that a password has no @ of its own: what comes behind it would be taken, and shown, as the host's name.

    Raises:
        InputError: it has one.
    """
    if "@" in password(uri):
        raise InputError(
            "the address has more than one @", without_credentials(uri), "Write %40 for an @ in a password."
        )


def without_credentials(uri: str) -> str:
    """The URI without user and password, also where they are options in its query."""
    match = _AUTHORITY.match(uri)
    if match:
        uri = match["scheme"] + uri[match.end() :]
    return _SECRET_OPTION.sub("", uri).replace("?&", "?").removesuffix("?")


def password(uri: str) -> str:
    """The password in a URI, empty if it has none."""
    match = _AUTHORITY.match(uri)
    return (match["password"] or match["rest"] or match["sql"] or "") if match else ""


def without_secrets(text: str, uri: str) -> str:
    """A message of somebody else's about a URI, without what is secret in it: as it is written, and as it is meant."""
    text = text.replace(uri, without_credentials(uri))
    known = [
        password(uri),
        *(match["value"] for match in _SECRET_OPTION.finditer(uri) if match[1].lower() not in _NAMES),
    ]
    for form in {form for secret in known for form in (secret, unquote(secret), unquote_plus(secret)) if form}:
        text = text.replace(form, "***")
    return text


def sqlite_path(uri: str) -> Path | None:
    """The file of an ``sqlite:///`` URI; None for anything else and for a store in memory."""
    match = _SQLITE.match(uri)
    return Path(match["file"]) if match and match["file"] not in {"", ":memory:"} else None


def absolute(uri: str) -> str:
    """An ``sqlite:///`` URI with its file's absolute path, so that it means the same from any folder."""
    path, match = sqlite_path(uri), _SQLITE.match(uri)
    return uri if path is None or match is None else f"{match['start']}{path.absolute()}{uri[match.end() :]}"


def _check_sqlite(uri: str) -> None:
    path = sqlite_path(uri)
    if path is None:
        if uri.startswith("sqlite:///:memory:"):
            return
        raise InputError("the SQLite URI names no file", without_credentials(uri), _FIX)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError("the folder of MLflow's SQLite file does not exist", str(folder), "Make it first.")
    if path.is_dir() or not all(os.access(place, os.W_OK) for place in (folder, path) if place.exists()):
        raise InputError("MLflow's SQLite file cannot be written", str(path), "Name another file.")
    if path.exists() and not _is_sqlite(path):
        raise InputError("the file is no SQLite database", str(path), "Name another file.")


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.read(len(_SQLITE_HEADER))
    return header in {b"", _SQLITE_HEADER}


def _scheme(uri: str) -> str:
    if uri == "databricks":
        return uri
    match = re.match(r"([A-Za-z][\w.-]*)(\+[\w.-]+)?:", uri)
    return match[1].lower() if match else ""
