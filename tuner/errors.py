"""The one error that a user's input can cause."""

import difflib
from collections.abc import Iterable


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


def nearest(name: str, known: Iterable[str]) -> str:
    """A phrase that names the known name closest to ``name``, or all of them where none is close."""
    candidates = sorted(known)
    close = difflib.get_close_matches(name, candidates, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known names: {', '.join(candidates)}."
