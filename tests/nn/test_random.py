"""The random numbers: functions of a key and a logical index, and random enough."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from tuner.nn.random import counter_bits, fold_in, key_words, truncated_normal, uniform

MASK = 0xFFFFFFFF


def words(seed=0):
    return np.asarray(key_words(jax.random.key(seed)))


def mix(x, twist=0):
    """lowbias32 on Python's whole numbers."""
    x = (x ^ (x >> 16)) * 0x7FEB352D & MASK
    x ^= twist
    x = (x ^ (x >> 15)) * 0x846CA68B & MASK
    return x ^ (x >> 16)


def one_bits(key, row, column):
    start = mix((mix(row ^ key[0]) + key[1]) & MASK)
    twist = mix((start + 0x9E3779B9) & MASK)
    return mix((start + column * 0x9E3779B9) & MASK, twist)


def bits_of(values):
    """Each bit as a 0 or a 1, a new last axis."""
    return (values[..., None] >> np.arange(32, dtype=np.uint32)) & 1


def correlation(a, b):
    return np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1]


def test_it_is_the_hash_that_its_page_describes():
    key = [0, 42]
    bits = counter_bits(np.asarray(key, np.uint32), np.arange(3), np.arange(4))
    assert bits.tolist() == [[one_bits(key, row, column) for column in range(4)] for row in range(3)]


def test_numpy_and_jax_draw_the_same_bits():
    rows, columns = np.arange(9), np.arange(17)
    on_host = counter_bits(words(), rows, columns)
    assert isinstance(on_host, np.ndarray)
    assert on_host.dtype == np.uint32
    assert np.array_equal(on_host, jax.jit(counter_bits)(words(), rows, columns))
    assert np.array_equal(fold_in(words(), 3), jax.jit(fold_in)(words(), jnp.uint32(3)))
    with_traced_key = jax.jit(lambda key: counter_bits(key_words(key), rows, columns))(jax.random.key(0))
    assert np.array_equal(on_host, with_traced_key)


def test_a_draw_depends_on_its_logical_index_alone():
    large = counter_bits(words(), np.arange(40), np.arange(300))
    assert np.array_equal(large[:7, :5], counter_bits(words(), np.arange(7), np.arange(5)))
    assert np.array_equal(large[3:9, 100:110], counter_bits(words(), np.arange(3, 9), np.arange(100, 110)))
    normal = truncated_normal(words(), np.arange(40), np.arange(300))
    assert np.array_equal(normal[:7, :5], truncated_normal(words(), np.arange(7), np.arange(5)))


@pytest.mark.parametrize("seed", range(4))
def test_bits_are_fair(seed):
    bits = bits_of(counter_bits(words(seed), np.arange(256), np.arange(256)))
    count = 256 * 256
    deviations = (bits.reshape(-1, 32).mean(0) - 0.5) / (0.5 / np.sqrt(count))
    assert np.abs(deviations).max() < 4.5  # of 32 places and 4 seeds
    ones = bits.sum(-1)  # binomial(32, 1/2): mean 16, variance 8
    assert abs(ones.mean() - 16) < 5 * np.sqrt(8 / count)
    assert abs(ones.var() - 8) < 5 * 8 * np.sqrt(2 / count)


@pytest.mark.parametrize("place", range(4))
def test_bytes_are_uniform(place):
    for seed in range(4):
        draws = counter_bits(words(seed), np.arange(256), np.arange(256)).view(np.uint8).reshape(-1, 4)
        p = scipy.stats.chisquare(np.bincount(draws[:, place], minlength=256)).pvalue
        assert 1e-5 < p < 1 - 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_neighbours_are_not_correlated(seed):
    count, key = 256, words(seed)
    draws = counter_bits(key, np.arange(count), np.arange(count))
    pairs = {
        "rows": (draws[1:], draws[:-1]),
        "columns": (draws[:, 1:], draws[:, :-1]),
        "diagonals": (draws[1:, 1:], draws[:-1, :-1]),
        "transposed": (draws[np.triu_indices(count, 1)], draws.T[np.triu_indices(count, 1)]),
        "keys": (draws, counter_bits(words(seed + 1), np.arange(count), np.arange(count))),
        "calls": tuple(counter_bits(fold_in(key, call), np.arange(count), np.arange(count)) for call in (0, 1)),
        "a key and its call": (draws, counter_bits(fold_in(key, 0), np.arange(count), np.arange(count))),
    }
    for name, (one, other) in pairs.items():
        bound = 5 / np.sqrt(one.size)
        assert abs(correlation(one, other)) < bound, name
        agreement = (bits_of(one) == bits_of(other)).reshape(-1, 32).mean(0)
        assert np.abs(agreement - 0.5).max() < bound / 2, name


def test_one_flipped_bit_of_an_index_flips_half_of_the_bits():
    rows = np.arange(2000)
    for bit in range(11):
        one, other = (counter_bits(words(), np.zeros(1, int), c)[0] for c in (rows, rows ^ (1 << bit)))
        assert abs((bits_of(one) != bits_of(other)).mean() - 0.5) < 0.01
        one, other = (counter_bits(words(), r, np.zeros(1, int))[:, 0] for r in (rows, rows ^ (1 << bit)))
        assert abs((bits_of(one) != bits_of(other)).mean() - 0.5) < 0.01


def test_rows_and_calls_do_not_repeat_each_other():
    draws = counter_bits(words(), np.arange(1000), np.arange(64))
    assert len(np.unique(draws, axis=0)) == 1000
    assert len(np.unique(draws)) > 64000 - 5  # 0.5 pairs are expected by chance
    keys = {fold_in(words(seed), call).tobytes() for seed in range(20) for call in range(1000)}
    assert len(keys) == 20000


def test_uniform_stays_between_its_ends(monkeypatch):
    for extreme in (0, MASK):
        monkeypatch.setattr("tuner.nn.random.counter_bits", lambda *_, e=extreme: np.full((1, 1), e, np.uint32))
        assert 0 < uniform(words(), np.arange(1), np.arange(1))[0, 0] < 1


def test_uniform_is_uniform():
    draws = uniform(words(), np.arange(300), np.arange(300)).ravel()
    assert draws.dtype == np.float32
    assert scipy.stats.kstest(draws, "uniform").pvalue > 1e-4


def test_uniform_is_the_same_number_in_float64(float64):
    draws = uniform(words(), np.arange(30), np.arange(30))
    assert draws.dtype == np.float64
    assert np.array_equal(draws, draws.astype(np.float32))


def test_moments_of_the_truncated_normal():
    draws = truncated_normal(words(), np.arange(400), np.arange(400)).astype(float)
    count, bound = draws.size, 2 / 0.87962566103423978
    assert draws.min() >= -bound - 1e-6
    assert draws.max() <= bound + 1e-6
    assert abs(draws.mean()) < 5 / np.sqrt(count)
    assert abs(draws.var() - 1) < 5 * np.sqrt(2 / count)
    assert abs(scipy.stats.skew(draws.ravel())) < 0.03
    exact = scipy.stats.truncnorm(-2, 2)
    assert abs(scipy.stats.kurtosis(draws.ravel()) - float(exact.stats("k"))) < 0.05
    assert scipy.stats.kstest(draws.ravel() * 0.87962566103423978, exact.cdf).pvalue > 1e-4
