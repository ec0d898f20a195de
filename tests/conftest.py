import jax
import pytest

from tests.helpers import make_arrays


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
