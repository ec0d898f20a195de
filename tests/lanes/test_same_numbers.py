"""The promise of the lanes: where and beside whom a trial trains does not move its numbers."""

import jax
import numpy as np
import pytest
from flax import nnx

from tests.helpers import make_arrays, parameters_of
from tuner import Width
from tuner import nn as elastic
from tuner.hyperparameters import split
from tuner.lanes import draws
from tuner.lanes.arrays import steps
from tuner.lanes.draws import draw, lane_words
from tuner.lanes.engine import Engine
from tuner.lanes.placement import Decision, Placer
from tuner.models import MLP
from tuner.training.recipe import Recipe, initial_values, streams_of
from tuner.training.settings import FLOATS

TRIAL = 7


def point(size=5, cap=8, **changes):
    return {
        "hidden": [Width(size, cap)],
        "learning_rate": 0.02,
        "batch_size": 8,
        "weight_decay": 1e-3,
        "dropout": 0.25,
        **changes,
    }


class Normed(nnx.Module):
    """Every elastic layer in one model."""

    def __init__(self, hyperparameters, spec, rngs):
        width = hyperparameters["hidden"][0]
        # without a bias: the norm takes it away again, so its gradient is rounding alone, which Adam blows up
        self.first = elastic.Linear(spec.input_shape[0], width, use_bias=False, rngs=rngs)
        self.batch = elastic.BatchNorm(width, momentum=0.9)
        self.second = elastic.Linear(width, width, rngs=rngs)
        self.layer = elastic.LayerNorm(width)
        self.dropout = elastic.Dropout(hyperparameters["dropout"], rngs=rngs)
        self.output = elastic.Linear(width, spec.outputs, rngs=rngs)

    def __call__(self, x):
        x = nnx.tanh(self.batch(self.first(x)))
        return self.output(self.dropout(nnx.tanh(self.layer(self.second(x)))))


def lane_key(seed, trial, fold):
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), trial), fold)


def build(arrays, *, chunk=1, slots=4, seed=0, model=MLP):
    return Engine(model, arrays, slots=slots, chunk=chunk, seed=seed)


def seat(engine, trial, hyperparameters):
    engine.add(trial, hyperparameters)
    assert engine.seat() == {}


def numbers_of(result):
    return np.concatenate([result.train_loss, *(result.metrics[name] for name in sorted(result.metrics))])


def train(engine, trial, epochs):
    """The trial's results over its epochs, one array (epochs, values), and its parameters."""
    rows = [numbers_of(engine.advance()[trial]) for _ in range(epochs)]
    return np.array(rows), parameters_of(engine, trial)


def alone(arrays, hyperparameters, *, epochs=4, trial=TRIAL, **options):
    engine = build(arrays, **options)
    seat(engine, trial, hyperparameters)
    return train(engine, trial, epochs)


def assert_bit_equal(one, other):
    for a, b in zip([one[0], *one[1]], [other[0], *other[1]], strict=True):
        assert a.dtype == b.dtype
        assert np.isfinite(a).all()
        assert a.tobytes() == b.tobytes()


def assert_close(one, other, **tolerance):
    np.testing.assert_allclose(one[0], other[0], **tolerance)
    for a, b in zip(one[1], other[1], strict=True):
        common = tuple(slice(min(sizes)) for sizes in zip(a.shape, b.shape, strict=True))
        np.testing.assert_allclose(a[common], b[common], **tolerance)
        # what only the larger cap has is masked
        assert np.count_nonzero(a) == np.count_nonzero(a[common])
        assert np.count_nonzero(b) == np.count_nonzero(b[common])


# Same executable: bit-equal


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("model", [MLP, Normed])
def test_slot_and_neighbours_do_not_move_a_bit(arrays, chunk, model):
    expected = alone(arrays, point(), chunk=chunk, model=model)
    engine = build(arrays, chunk=chunk, model=model)
    for trial, changes in enumerate([{"learning_rate": 1e30}, {"size": 8}, {"size": 6, "dropout": 0.0}]):
        seat(engine, trial, point(**changes))
    engine.advance()
    engine.remove(1)  # frees the slot in the middle
    seat(engine, TRIAL, point())  # inserted later, between NaN and a finite neighbour
    rows = []
    for _ in range(4):
        results = engine.advance()
        rows.append(numbers_of(results[TRIAL]))
    assert_bit_equal((np.array(rows), parameters_of(engine, TRIAL)), expected)
    assert np.isnan(results[0].train_loss).all()
    assert all(np.isnan(leaf).any() for leaf in parameters_of(engine, 0))


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_every_slot_is_the_same(arrays, chunk, place):
    engine = build(arrays, chunk=chunk)
    for filler in range(place):
        seat(engine, 100 + filler, point(learning_rate=float("nan")))
    seat(engine, TRIAL, point())
    assert_bit_equal(train(engine, TRIAL, 2), alone(arrays, point(), chunk=chunk, epochs=2))


@pytest.mark.parametrize("chunk", [1, 3])
def test_a_refilled_slot_keeps_nothing_of_the_trial_before(arrays, chunk):
    engine = build(arrays, chunk=chunk, model=Normed)
    seat(engine, 0, point(learning_rate=1e30))
    seat(engine, 1, point(size=7))
    engine.advance()
    engine.advance()
    engine.remove(0)
    seat(engine, TRIAL, point())
    population = engine.population_of(TRIAL)
    assert (population.seats[TRIAL].chunk, population.seats[TRIAL].place) == (0, 0)
    assert_bit_equal(train(engine, TRIAL, 3), alone(arrays, point(), chunk=chunk, model=Normed, epochs=3))


def test_removing_a_neighbour_does_not_move_a_bit(arrays):
    engine = build(arrays, chunk=3)
    seat(engine, 1, point(size=7))
    seat(engine, TRIAL, point())
    first, _ = train(engine, TRIAL, 2)
    engine.remove(1)
    second, parameters = train(engine, TRIAL, 2)
    assert_bit_equal((np.concatenate([first, second]), parameters), alone(arrays, point(), chunk=3))


# Other executables: equal in float64 over a whole training


@pytest.fixture
def cap_of_64(monkeypatch):
    """Programs of cap 64 where the engine would take 8."""
    monkeypatch.setattr(Placer, "place", lambda placer, trial, waiting: Decision((64,), None, 0))


@pytest.mark.parametrize("model", [MLP, Normed])
@pytest.mark.parametrize("options", [{"chunk": 3}, {"chunk": None, "slots": 1}], ids=str)
def test_chunks_do_not_move_a_training(float64, options, model):
    arrays = make_arrays()
    expected = alone(arrays, point(), epochs=arrays.epochs, model=model)
    assert_close(alone(arrays, point(), epochs=arrays.epochs, model=model, **options), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", [MLP, Normed])
def test_caps_do_not_move_a_training(float64, cap_of_64, monkeypatch, model):
    arrays = make_arrays()
    wide = alone(arrays, point(), epochs=arrays.epochs, chunk=2, model=model)
    monkeypatch.undo()
    for cap in (5, 8):
        narrow = alone(arrays, point(cap=cap), epochs=arrays.epochs, model=model)
        assert_close(wide, narrow, rtol=1e-9, atol=1e-12)


def test_a_width_is_the_plain_width(float64):
    arrays = make_arrays()
    elastic_width = alone(arrays, point(), epochs=arrays.epochs)
    plain = alone(arrays, point(hidden=[5]), epochs=arrays.epochs)
    assert_close(elastic_width, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", [MLP, Normed])
def test_fifty_steps_in_float32(cap_of_64, monkeypatch, model):
    arrays = make_arrays(epochs=9)
    assert 50 <= arrays.epochs * steps(arrays.folds[0], 8) < 60
    wide = alone(arrays, point(learning_rate=1e-3), epochs=arrays.epochs, chunk=3, model=model)
    monkeypatch.undo()
    narrow = alone(arrays, point(learning_rate=1e-3), epochs=arrays.epochs, model=model)
    assert_close(wide, narrow, rtol=1e-3, atol=1e-5)


class Uneven:
    """Folds whose training rows make 3, 7 and 5 steps of 8."""

    sizes = (20, 56, 40)

    def split(self, x, y=None, groups=None):
        for fold, size in enumerate(self.sizes):
            rows = np.roll(np.arange(len(x)), 11 * fold)
            yield rows[:size], rows[size : size + 10 + fold]


class Only:
    """One of the uneven folds."""

    def __init__(self, fold):
        self.fold = fold

    def split(self, x, y=None, groups=None):
        yield list(Uneven().split(x))[self.fold]


@pytest.mark.parametrize("model", [MLP, Normed])
def test_uneven_folds_equal_the_fold_alone(float64, monkeypatch, model):
    hyperparameters = point(schedule="cosine", warmup=0.2)
    together, parameters = alone(make_arrays(folds=Uneven()), hyperparameters, epochs=8, model=model)
    for fold in (0, 2):
        # a fold trained alone has number 0, its key must be that of its number beside the others
        monkeypatch.setattr(draws, "lane_words", lambda seed, trial, _, f=fold: lane_words(seed, trial, 3)[[f]])
        single, own = alone(make_arrays(folds=Only(fold)), hyperparameters, epochs=8, model=model)
        assert_close(
            (together[:, fold::3], [leaf[[fold]] for leaf in parameters]), (single, own), rtol=1e-9, atol=1e-12
        )


# What the numbers do depend on


def test_the_seed_the_trial_and_the_fold_move_the_results(arrays):
    expected, _ = alone(arrays, point(), epochs=2)
    other_seed, _ = alone(arrays, point(), epochs=2, seed=1)
    other_trial, _ = alone(arrays, point(), epochs=2, trial=8)
    again, _ = alone(arrays, point(), epochs=2)
    assert np.array_equal(expected, again)
    assert not np.isclose(expected[:, :3], other_seed[:, :3], rtol=1e-6).any()
    assert not np.isclose(expected[:, :3], other_trial[:, :3], rtol=1e-6).any()


def test_draws_depend_on_seed_trial_and_fold_alone(arrays):
    """Initial values, data order and dropout's words, whatever was there before and in whichever program."""
    engine = build(arrays, chunk=3)
    seat(engine, 0, point(size=8))
    seat(engine, TRIAL, point())
    population = engine.population_of(TRIAL)
    recipe, numbers = population.program.recipe, split(point(), floats=FLOATS).numbers
    for fold in range(3):
        values = initial_values(recipe, numbers, streams_of(lane_key(0, TRIAL, fold)))
        for leaf, own in zip(parameters_of(engine, TRIAL), jax.tree.leaves(values.parameters), strict=True):
            assert np.array_equal(leaf[fold], np.asarray(own))
    orders = population._orders(population.trials_of(0), 0)
    fresh = build(arrays, chunk=1)
    seat(fresh, TRIAL, point())
    assert np.array_equal(orders[3:6], fresh.population_of(TRIAL)._orders([TRIAL], 0))
    assert len({order.tobytes() for order in orders[:6]}) == 6


class Plain(nnx.Module):
    """Layers of Flax's own, which need JAX's keys."""

    def __init__(self, hyperparameters, spec, rngs):
        self.first = elastic.Linear(spec.input_shape[0], hyperparameters["hidden"][0], rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.output = nnx.Linear(8, spec.outputs, rngs=rngs)


@pytest.mark.parametrize("model", [MLP, Normed, Plain])
@pytest.mark.parametrize(("seed", "trial"), [(0, 0), (3, 70_000), (2**32 - 1, 5)])
def test_a_draw_is_that_of_each_fold_with_its_own_key(arrays, model, seed, trial):
    parts = split(point(), floats=FLOATS)
    recipe = Recipe(model, arrays.spec, arrays.task, parts.signature)
    drawn = draw(recipe, parts.numbers, seed, trial, 3)
    assert (draws._built_once(recipe, parts.numbers, lane_words(seed, trial, 3)) is None) == (model is Plain)
    for fold in range(3):
        key = lane_key(seed, trial, fold)
        assert np.array_equal(lane_words(seed, trial, 3)[fold], jax.random.key_data(key))
        assert np.array_equal(drawn.words[fold], jax.random.key_data(jax.random.fold_in(key, 3)))
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            expected = initial_values(recipe, parts.numbers, streams_of(key))
        for leaf, own in zip(jax.tree.leaves(drawn.values), jax.tree.leaves(expected), strict=True):
            assert leaf.dtype == own.dtype
            assert np.array_equal(raw(leaf[fold]), raw(own))


def test_a_draw_needs_no_cpu_back_end(arrays, monkeypatch):
    """As with JAX_PLATFORMS=cuda, which leaves JAX none."""
    parts = split(point(), floats=FLOATS)
    recipe = Recipe(MLP, arrays.spec, arrays.task, parts.signature)
    expected = draw(recipe, parts.numbers, 0, 1, 3)

    def none(*_, **options):
        raise RuntimeError(f"Unknown backend {options}")

    monkeypatch.setattr(jax, "local_devices", none)
    drawn = draw(recipe, parts.numbers, 0, 1, 3)
    for one, other in zip(jax.tree.leaves(drawn.values), jax.tree.leaves(expected.values), strict=True):
        assert np.array_equal(one, other)


def raw(leaf):
    return jax.random.key_data(leaf) if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np.asarray(leaf)


def test_no_two_lanes_share_a_key():
    words = np.concatenate([lane_words(seed, trial, 5) for seed in range(3) for trial in range(9)])
    assert len({pair.tobytes() for pair in words}) == 3 * 9 * 5
