"""The cost in words: shares, the cache, why programs were compiled; and studies of before that say less."""

import pytest

from tuner.report.costs import PHASES, cost_in_full, cost_in_short

PROGRAM = {"caps": {"hidden.0": 256, "hidden.1": 64}, "batch_size": 32, "reason": "first of its signature"}
COST = {
    "wall_seconds": 20.0,
    "startup": 3.0,
    "compile_wait": 5.0,
    "device_wait": 9.0,
    "sampling": 0.5,
    "placing": 1.0,
    "ask_tell": 1.0,
    "tracking_wait": 0.25,
    "checkpoint_wait": 0.25,
    "other": 0.0,
    "compilations": 19,
    "cache_hits": 18,
    "programs": 2,
    "compiled": [PROGRAM, {"caps": {}, "batch_size": 128, "reason": "no open program covers it"}],
    "occupancy": 0.95,
    "mask_tax": 0.312,
    "background": {"compile": 4.2, "tracking": 2.5, "checkpoint": 0.0},
}


def full(cost, total=None):
    return "\n".join(cost_in_full(cost, total or {}))


def short(cost):
    return "\n".join(cost_in_short(cost))


def test_every_phase_has_its_seconds_and_its_share():
    lines = full(COST).splitlines()
    for phase, words in PHASES.items():
        (line,) = [line for line in lines if line.strip().startswith(f"{words}  ")]
        assert line.split()[-3:] == [f"{COST[phase]:.1f}", "s", f"{COST[phase] / 20:.0%}"]
    assert "20.0 s" in lines[0]


def test_the_short_form_is_three_lines_and_leaves_out_what_took_nothing():
    assert len(short(COST).splitlines()) == 3
    assert "training 9.0 (45%)" in short(COST)
    assert "other" not in short(COST)
    assert "hidden.0" not in short(COST)


@pytest.mark.parametrize("text", [short(COST), full(COST)])
def test_background_cache_and_shares_are_in_both_forms(text):
    assert "compiling 4.2 s, tracking 2.5 s, checkpoints 0.0 s" in text
    assert "2 used; 19 compilations, 18 of them from the cache; occupancy 95%; mask tax 31%" in text


@pytest.mark.parametrize(
    ("count", "hits", "said"),
    [
        (0, 0, "0 compilations;"),
        (1, 0, "1 compilation, none of them from the cache;"),
        (5, 5, "5 compilations, all of them from the cache;"),
    ],
)
def test_what_came_from_the_cache(count, hits, said):
    assert said in short(COST | {"compilations": count, "cache_hits": hits})


def test_each_program_has_its_batch_size_caps_and_reason():
    heading, first, second = full(COST).splitlines()[-3:]
    assert heading.split() == ["batch", "size", "caps", "why", "it", "was", "compiled"]
    assert first.split(maxsplit=1) == ["32", "hidden.0 256, hidden.1 64  first of its signature"]
    assert second.split(maxsplit=2) == ["128", "-", "no open program covers it"]
    assert len({line.index(why) for line, why in ((heading, "why"), (first, "first"), (second, "no open"))}) == 1


def test_programs_that_differ_in_nothing_shown_are_one_row():
    rows = full(COST | {"compiled": [PROGRAM] * 3}).splitlines()
    assert rows[-1].endswith("first of its signature (3 times)")
    assert sum("hidden.0" in row for row in rows) == 1


def test_static_values_are_shown_where_they_differ():
    statics = [{"optimizer": name, "schedule": "cosine"} for name in ("adam", "sgd")] + [{"schedule": "cosine"}]
    lines = full(COST | {"compiled": [PROGRAM | {"static": static} for static in statics]}).splitlines()[-4:]
    assert "caps and what else differs" in lines[0]
    assert "hidden.1 64, optimizer adam" in lines[1]
    assert "hidden.1 64, optimizer sgd" in lines[2]
    assert not any("cosine" in line for line in lines)


def test_a_long_table_is_cut():
    programs = [PROGRAM | {"batch_size": size} for size in range(100)]
    lines = full(COST | {"compiled": programs}).splitlines()
    assert "and 60 more" in lines[-1]
    assert sum("hidden.0" in line for line in lines) == 40


def test_all_runs_are_summed_where_there_were_several():
    assert "all runs" not in full(COST, COST)
    said = full(COST, COST | {"wall_seconds": 50.0, "compilations": 40, "cache_hits": 30})
    assert "all runs    50.0 s; 40 compilations, 30 of them from the cache" in said


def test_studies_of_before_say_what_they_know():
    known = {"wall_seconds": 4.0, "startup": 1.0, "device_wait": 3.0, "compilations": 2}
    assert "programs    2 compilations" in full(known)
    assert "sampling" not in full(known)
    assert "training 3.0 (75%)" in short(known)
    assert full({"wall_seconds": 4.0}).splitlines() == ["  cost        4.0 s of the loop, which were"]
    assert short({"wall_seconds": 4.0}).splitlines() == ["  cost        4.0 s"]
