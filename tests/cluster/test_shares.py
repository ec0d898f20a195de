"""What each worker gets of a cluster."""

import pytest

from tuner.cluster.shares import Share, default_workers, environment_of, share_of


@pytest.mark.parametrize(
    ("machines", "workers", "share"),
    [
        ([{"CPU": 8}], 2, Share(cpus=4)),
        ([{"CPU": 8}], 3, Share(cpus=2)),
        ([{"CPU": 8}, {"CPU": 2}], 3, Share(cpus=4 // 2)),
        ([{"CPU": 2}], 3, Share(cpus=0.5)),
        ([{"CPU": 1}], 3, Share(cpus=0.3333)),
        ([{"CPU": 16, "GPU": 4}], 2, Share(gpus=2)),
        ([{"CPU": 16, "GPU": 3}, {"CPU": 16, "GPU": 3}], 3, Share(gpus=1)),
        ([{"CPU": 64}, {"CPU": 16, "GPU": 1}], 4, Share(gpus=0.25)),
        ([{}], 2, Share()),
    ],
)
def test_all_workers_fit_at_once_and_none_could_have_more(machines, workers, share):
    assert share_of(machines, workers) == share


def test_one_worker_a_gpu_or_a_machine():
    assert default_workers([{"CPU": 16, "GPU": 2}, {"CPU": 16, "GPU": 2}]) == 4
    assert default_workers([{"CPU": 16}, {"CPU": 2}, {}]) == 2
    assert default_workers([]) == 1


def test_jax_keeps_to_its_share():
    assert environment_of(Share(gpus=0.25)) == {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.225"}
    assert environment_of(Share(gpus=2)) == {}
    assert environment_of(Share(cpus=3)) == {"NPROC": "3"}


@pytest.mark.parametrize(
    ("share", "words"), [(Share(gpus=0.5), "0.5 GPU"), (Share(gpus=2), "2 GPUs"), (Share(cpus=1), "1 core")]
)
def test_a_share_in_words(share, words):
    assert str(share) == words
