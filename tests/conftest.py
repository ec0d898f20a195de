import os
import tempfile

import jax
import pytest

from tests.helpers import make_arrays

# The tests' own, in their commands too; one for the whole run, so that a program compiles once in it.
_cache = tempfile.TemporaryDirectory(prefix="tuner-cache-")
os.environ["TUNER_CACHE_DIR"] = _cache.name


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
