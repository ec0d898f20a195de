"""A long study stays as fast and as small as it was: the benchmark of it, in short."""

import pytest

from benchmarks import long_study


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_study_is_sampled_while_it_runs(tmp_path, sampler):
    run = long_study.long_study(40, sampler, tmp_path, every=10) | {"seconds": 1.0}
    samples = run["samples"]
    assert [sample["trials"] for sample in samples] == [10, 20, 30, 40]
    assert 0 < samples[0]["sampling"] < samples[-1]["sampling"] <= run["cost"]["sampling"]
    assert long_study.rise(samples, "mib") < 1.5
    assert f"40 trials by {sampler}" in long_study.table(run)


def test_what_is_compared():
    samples = [{"trials": 100 * i, "seconds": i**2, "mib": 100 + i} for i in range(1, 21)]
    assert long_study.window(samples) == 200
    assert long_study.growth(samples, "seconds") == (20**2 - 18**2) / (4**2 - 2**2)
    assert long_study.rise(samples, "mib") == 120 / 102
    assert long_study.window(samples[:3]) == 100


@pytest.mark.slow
def test_three_hundred_trials_take_no_more_memory_than_one_hundred():
    samples = long_study.measure(300, "random")["samples"]
    assert long_study.rise(samples, "mib") < 1.2
    assert max(sample["arrays"] for sample in samples) < 1.2 * samples[0]["arrays"]
    assert long_study.growth(samples, "seconds") < 1.5
