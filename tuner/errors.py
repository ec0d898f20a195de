"""The one error that a user's input can cause."""

import difflib
from collections.abc import Iterable

_LONGEST_NAME = 500  # MLflow's for experiments; Optuna's tables have 512 characters


class InputError(ValueError):
    """Something the user gave is wrong: what, the value that broke it, and what to do.

    The command line prints it as one message and leaves with exit code 2.
    """

    def __init__(self, what: str, value: object, fix: str) -> None:
        self.what = what
        self.value = value if isinstance(value, str) else repr(value)
        self.fix = fix
        super().__init__(f"{what}: {self.value}. {fix}")

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, object, str]]:
        return type(self), (self.what, self.value, self.fix)


def check_name(whose: str, name: object) -> None:
    """Check a name that databases keep, MLflow takes and terminals show. It is the name of no file.

    Raises:
        InputError: it is none, is empty, too long, or holds characters that do not show.
    """
    fix = 'Give "digits-mlp", say.'
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{whose} needs a name", ascii(name), fix)
    if not name.isprintable():
        raise InputError(f"the name of {whose} has characters that do not show", ascii(name), fix)
    if len(name) > _LONGEST_NAME:
        raise InputError(f"the name of {whose} is longer than {_LONGEST_NAME} characters", f"{name[:20]}...", fix)


def nearest(name: str, known: Iterable[str]) -> str:
    """A phrase that names the known name closest to ``name``, or all of them where none is close."""
    candidates = sorted(known)
    close = difflib.get_close_matches(name, candidates, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known names: {', '.join(candidates)}."
