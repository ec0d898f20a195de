"""Data that comes to the device piece by piece."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from tests.helpers import OrdersInPrograms, make_arrays, make_dataset, parameters_of, recipe_of
from tuner import Experiment, InputError
from tuner.data import prepare
from tuner.experiment import arrays_of, override
from tuner.lanes import pieces as pieces_module
from tuner.lanes.arrays import steps
from tuner.lanes.draws import draw
from tuner.lanes.engine import Engine
from tuner.lanes.orders import epoch_order
from tuner.lanes.pieces import BLOCK, HELD, Pieces
from tuner.models import MLP
from tuner.training.lane import Data, start, train_epoch
from tuner.training.settings import parts_of

ROWS, AT_ONCE, BATCH = 1000, 256, 16
POINT = {"hidden": [8], "learning_rate": 0.02, "batch_size": BATCH, "schedule": "cosine", "optimizer": "adam"}


@pytest.fixture
def in_pieces():
    return make_arrays(rows=ROWS, rows_at_once=AT_ONCE, epochs=3)


@pytest.fixture
def whole():
    return make_arrays(rows=ROWS, epochs=3)


def engine_of(arrays, trials=1, model=MLP, **options):
    engine = Engine(model, arrays, **{"slots": trials, "seed": 0} | options)
    for trial in range(trials):
        engine.add(trial, POINT | {"learning_rate": 0.02 / (1 + trial)})
    assert engine.seat() == {}
    return engine


def test_every_row_is_in_one_piece_among_its_neighbours():
    pieces = Pieces(prepare(make_dataset(rows=ROWS)), AT_ONCE)
    assert len(pieces) == 4
    assert sorted(np.concatenate(pieces.rows)) == list(range(ROWS))
    for rows in pieces.rows:
        assert len(rows) <= AT_ONCE
        assert (np.bincount(rows // BLOCK, minlength=ROWS // BLOCK)[: ROWS // BLOCK] % BLOCK == 0).all()
    assert any(np.diff(rows).max() > BLOCK for rows in pieces.rows)  # not the file's order: it may be sorted


def test_a_piece_has_its_rows_and_rows_know_their_places():
    prepared = prepare(make_dataset(rows=ROWS))
    pieces, chosen = Pieces(prepared, AT_ONCE), np.random.default_rng(0).permutation(ROWS)[:300].astype(np.int32)
    seen = []
    for piece, places in enumerate(pieces.split(chosen)):
        data = pieces.data(piece)
        assert data.inputs.shape == pieces.shapes.inputs.shape
        np.testing.assert_allclose(data.inputs[places], prepared.inputs[pieces.rows[piece][places]], rtol=1e-6)
        np.testing.assert_array_equal(data.targets[places], prepared.targets[pieces.rows[piece][places]])
        seen += pieces.rows[piece][places].tolist()
    assert sorted(seen) == sorted(chosen.tolist())


def test_a_read_that_failed_is_told_and_tried_again(monkeypatch):
    pieces = Pieces(prepare(make_dataset(rows=ROWS)), AT_ONCE)

    def fails(*_):
        raise OSError("the disk is away")

    with monkeypatch.context() as patch:
        patch.setattr(pieces_module, "_filled", fails)
        with pytest.raises(OSError, match="the disk is away"):
            pieces.data(0)
    assert len(pieces.data(0).inputs) == pieces.shapes.inputs.shape[0]


def test_only_so_many_pieces_are_held():
    pieces = Pieces(prepare(make_dataset(rows=ROWS)), 100)
    assert len(pieces) > HELD
    for piece, _ in pieces.in_turn(range(len(pieces))):
        assert piece in pieces._held
        assert len(pieces._held) <= HELD


def test_what_does_not_fit_comes_in_pieces(monkeypatch):
    prepared = prepare(make_dataset(rows=ROWS))
    row = 5 * 4 + 4
    monkeypatch.setattr(pieces_module, "device_bytes", lambda: 2 * ROWS * row)
    assert len(Pieces(prepared)) == 1
    monkeypatch.setattr(pieces_module, "device_bytes", lambda: 2 * ROWS * row - 100)
    pieces = Pieces(prepared)
    assert HELD * len(pieces.rows[0]) <= ROWS
    assert len(pieces) > HELD


@pytest.mark.parametrize("kind", [None, OrdersInPrograms])
def test_an_epoch_is_that_of_the_pieces_one_after_the_other(float64, kind, whole):
    """A lane of the engine against the loop of one lane over all data, with the orders of the pieces put together."""
    options = {} if kind is None else {"kind": kind}
    arrays = make_arrays(rows=ROWS, rows_at_once=AT_ONCE, epochs=3, **options)
    engine = engine_of(arrays)
    results = [engine.advance()[0] for _ in range(2)]
    recipe, numbers = recipe_of(MLP, whole, POINT), parts_of(POINT).numbers
    drawn = draw(recipe, numbers, 0, 0, 3)
    data = Data(*(jax.numpy.asarray(a) for a in (whole.prepared.inputs, whole.prepared.targets)))
    for fold in range(3):
        lane = jax.tree.map(lambda leaf, fold=fold: leaf[fold], drawn.values)
        lane = start(recipe, lane, numbers, drawn.batch_words[fold])
        parts = arrays.in_pieces(arrays.folds[fold])
        counts = [steps(part, BATCH) for part in parts]
        of_fold = jax.tree.map(lambda leaf, fold=fold: leaf[fold], whole.stacked(whole.folds, BATCH))
        of_fold = of_fold._replace(steps=sum(counts), total_steps=3 * sum(counts))
        bounds = engine.population_of(0)._feeds[0].bounds._replace(fewest=sum(counts), most=None)
        for epoch in range(2):
            orders = [
                arrays.pieces.rows[piece][epoch_order(drawn.words[fold], epoch * 4 + piece, part.train, count, BATCH)]
                for piece, (part, count) in enumerate(zip(parts, counts, strict=True))
            ]
            together = np.concatenate(orders)
            assert set(together.ravel()) == set(arrays.folds[fold].train)
            lane, loss = train_epoch(recipe, data, of_fold, together, bounds, lane)
            np.testing.assert_allclose(results[epoch].train_loss[fold], loss, rtol=1e-9)
        for ours, theirs in zip(parameters_of(engine, 0), jax.tree.leaves(lane.values.parameters), strict=True):
            np.testing.assert_allclose(ours[fold], theirs, rtol=1e-9, atol=1e-12)


def test_evaluation_is_that_of_all_rows(float64, in_pieces, whole):
    tiny = {"learning_rate": 1e-300}
    found = []
    for arrays in (in_pieces, whole):
        engine = Engine(MLP, arrays, slots=1, seed=0)
        engine.add(0, POINT | tiny)
        assert engine.seat() == {}
        found.append(engine.advance()[0])
    ours, theirs = found
    np.testing.assert_array_equal(ours.confusion, theirs.confusion)
    assert ours.metrics.keys() == theirs.metrics.keys()
    for name, values in theirs.metrics.items():
        np.testing.assert_allclose(ours.metrics[name], values, rtol=1e-12, err_msg=name)


def test_trials_side_by_side_train_as_alone(float64, in_pieces):
    chunk = engine_of(in_pieces, trials=3, chunk=4)
    alone = engine_of(in_pieces, trials=3)
    for _ in range(2):
        ours, theirs = chunk.advance(), alone.advance()
        for trial, result in theirs.items():
            np.testing.assert_allclose(ours[trial].train_loss, result.train_loss, rtol=1e-9)
            np.testing.assert_allclose(ours[trial].metrics["loss"], result.metrics["loss"], rtol=1e-9)


def test_a_refit_trains_on_all_that_is_not_test(in_pieces):
    engine = engine_of(in_pieces)
    result = engine.refit(0, POINT, 3)
    assert result.confusion.sum(axis=(1, 2)).tolist() == [len(in_pieces.final.validation)] * 3


def experiment_of(**changes):
    fields = {"name": "pieces", "model": MLP, "search_space": lambda _: POINT, "folds": 3, "epochs": 3}
    return Experiment(data=make_dataset(rows=ROWS), **fields | changes)


def test_the_rows_at_once_are_a_field_of_the_experiment():
    assert len(arrays_of(override(experiment_of(), [f"data.rows_at_once={AT_ONCE}"])).pieces) == 4
    with pytest.raises(InputError, match="rows_at_once must be a whole number of at least 1"):
        experiment_of(rows_at_once=0)


def test_a_metric_of_all_rows_at_once_is_refused():
    arrays_of(experiment_of(metrics=["roc_auc"]))
    with pytest.raises(InputError, match=r"needs all rows at once.*4 pieces.*roc_auc.*rows_at_once"):
        arrays_of(experiment_of(metrics=["roc_auc"], rows_at_once=AT_ONCE))


def test_a_last_piece_may_lack_rows_of_a_fold(float64):
    """A fold whose training rows are all in one piece."""
    arrays = make_arrays(rows=ROWS, rows_at_once=AT_ONCE)
    inside = np.intersect1d(arrays.folds[0].train, arrays.pieces.rows[2]).astype(np.int32)
    folds = (replace(arrays.folds[0], train=inside), *arrays.folds[1:])
    engine = engine_of(replace(arrays, folds=folds))
    losses = [engine.advance()[0].train_loss for _ in range(3)]
    assert np.isfinite(losses).all()
    assert (losses[-1] < losses[0]).all()
