"""The soak in short: everything is taken away once, and nothing is lost."""

from benchmarks.soak import soak


def test_a_study_that_everything_was_taken_from_is_whole_in_the_end(tmp_path):
    outcome = soak(seconds=0, workers=2, seed=3, folder=tmp_path)
    assert outcome.is_good, outcome
    assert min(outcome.kills, outcome.pauses, outcome.database_outages, outcome.tracker_outages) >= 1, outcome
    assert outcome.trials >= 10
    assert outcome.takeovers >= 1
