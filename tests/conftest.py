import os
import sys
import tempfile

import jax
import pytest

from tests.helpers import make_arrays

# The tests' own, in their commands too; one for the whole run, so that a program compiles once in it.
_cache = tempfile.TemporaryDirectory(prefix="tuner-cache-")
os.environ["TUNER_CACHE_DIR"] = _cache.name


@pytest.fixture
def unpickled():
    """What anything in this process unpickles from now on, module and name, as Python itself reports it."""
    found = []
    sys.addaudithook(lambda event, arguments: event == "pickle.find_class" and found.append(arguments))  # it stays
    return found


@pytest.fixture
def float64():
    """Every number a float64 while the test runs, in the threads that compile too."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def arrays():
    """Three classes, three even folds, eight epochs."""
    return make_arrays()
