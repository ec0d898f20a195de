import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers import Evil
from tuner.data import datasets, make_splits, prepare
from tuner.errors import InputError


def frame():
    data = datasets.iris()
    table = pd.DataFrame(data.inputs / 3, columns=list(data.columns))
    return table.assign(flower=np.array(["setosa", "versicolor", "virginica"])[data.targets])


def write(kind, table, path):
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    return path


@pytest.fixture(params=["csv", "parquet"])
def kind(request):
    return request.param


def test_a_table_comes_back_to_the_last_bit(kind, tmp_path):
    table = frame()
    path = write(kind, table, tmp_path / "flowers")
    prepared = prepare(getattr(datasets, kind)(path, target="flower"))
    np.testing.assert_array_equal(prepared.inputs, table.drop(columns="flower").to_numpy())
    assert prepared.labels == ("setosa", "versicolor", "virginica")
    assert prepared.columns == datasets.iris().columns
    np.testing.assert_array_equal(prepared.targets, datasets.iris().targets)


def test_groups_and_own_test_part(kind, tmp_path):
    table = frame().assign(garden=[f"g{i % 10}" for i in range(150)])
    write(kind, table, tmp_path / "train")
    reordered = table.drop(columns="garden")[::-1].iloc[:20, ::-1]
    write(kind, reordered, tmp_path / "test")
    loader = getattr(datasets, kind)(tmp_path / "train", target="flower", groups="garden", test=tmp_path / "test")
    prepared = prepare(loader)
    assert (prepared.own_test, prepared.spec.input_shape) == (20, (4,))
    assert prepared.groups.tolist() == table.garden.tolist()
    np.testing.assert_array_equal(prepared.inputs[150:], prepared.inputs[149:129:-1])
    assert len(make_splits(prepared, 5, 0.2, 0).rest) == 150


@pytest.mark.parametrize(
    ("targets", "task"),
    [
        (list("ab") * 15, "classification"),
        ([f"t{i}" for i in range(30)], "classification"),
        ([True, False] * 15, "classification"),
        ([i % 20 for i in range(30)], "classification"),
        ([i % 21 for i in range(30)], "regression"),
        ([0.0, 1.0] * 15, "regression"),
    ],
)
def test_the_task_is_inferred(targets, task, tmp_path, kind):
    path = write(kind, pd.DataFrame({"a": np.arange(30), "y": targets}), tmp_path / "data")
    assert getattr(datasets, kind)(path, target="y")().task == task
    assert datasets.arrays(np.zeros((30, 1)), targets).task == task
    assert datasets.arrays(np.zeros((30, 1)), np.array(targets)).task == task
    assert getattr(datasets, kind)(path, target="y", task="regression")().task == "regression"


def test_a_loader_is_lazy_picklable_and_readable(tmp_path):
    loader = datasets.csv(tmp_path / "later.csv", target="y", groups="who")
    assert repr(loader) == f"datasets.csv('{tmp_path}/later.csv', target='y', groups='who')"
    assert repr(datasets.npz("a.npz")) == "datasets.npz('a.npz', inputs='x', targets='y')"
    (tmp_path / "later.csv").write_text("a,y,who\n1,0,x\n2,1,y\n")
    again = pickle.loads(pickle.dumps(loader))
    assert again == loader
    assert prepare(again).groups.tolist() == ["x", "y"]


def test_a_file_is_looked_up_beside_the_experiment_first(tmp_path, monkeypatch):
    for number, folder in enumerate(("experiment", "here")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data.csv").write_text(f"a,y\n{number},0\n{number},1\n")
    (tmp_path / "here" / "only_here.csv").write_text("a,y\n7,0\n7,1\n")
    monkeypatch.chdir(tmp_path / "here")
    token = datasets.experiment_folder.set(tmp_path / "experiment")
    beside, only_here = datasets.csv("data.csv", target="y"), datasets.csv("only_here.csv", target="y")
    absent = datasets.npz("absent.npz")
    datasets.experiment_folder.reset(token)
    assert prepare(beside).inputs[0] == 0
    assert prepare(only_here).inputs[0] == 7
    assert prepare(datasets.csv("data.csv", target="y")).inputs[0] == 1
    with pytest.raises(InputError, match=r"no such data file: absent\.npz\. It .*experiment or .*here"):
        absent()


ERRORS = {
    "no target": ("a,label\n1,0\n", {"target": "lable"}, ["no such column", "lable", "'label'"]),
    "no groups": ("a,y,who\n1,0,x\n", {"target": "y", "groups": "whom"}, ["no such column", "whom", "'who'"]),
    "text": ("a,b,y\n1,2,0\n1,12x,1\n", {"target": "y"}, ["no number in column 'b', row 2 (counted from 1): 12x"]),
    "missing target": ("a,y\n1,0\n1,\n", {"target": "y"}, ["missing value in column 'y': row 2"]),
    "missing group": ("a,y,g\n1,0,\n1,1,u\n", {"target": "y", "groups": "g"}, ["missing value in column 'g': row 1"]),
    "infinity": ("a,b,y\n1,2,0\n1,inf,1\n", {"target": "y"}, ["infinite", "column 'b', row 2"]),
    "no inputs": ("y\n0\n1\n", {"target": "y"}, ["no inputs beside the target"]),
    "no rows": ("a,y\n", {"target": "y", "task": "regression"}, ["has no rows"]),
    "empty": ("", {"target": "y"}, ["cannot be read", "No columns"]),
    "ragged": ("a,y\n1,0\n1,2,3\n", {"target": "y"}, ["cannot be read", "line 3"]),
    "longer rows": ("a,y\n1,0,5\n1,2,5\n", {"target": "y"}, ["more values than the header"]),
    "task": ("a,y\n1,0\n1,1\n", {"target": "y", "task": "regresion"}, ["unknown task: regresion", "'regression'"]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_wrong_with_a_csv_file_is_said(name, tmp_path):
    text, options, parts = ERRORS[name]
    (tmp_path / "data.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        prepare(datasets.csv(tmp_path / "data.csv", **options))
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)


def test_a_test_file_must_have_the_same_columns(tmp_path):
    (tmp_path / "a.csv").write_text("height,y\n1,0\n2,1\n")
    (tmp_path / "b.csv").write_text("hight,y\n1,0\n")
    with pytest.raises(InputError, match=r"no such column in .*b\.csv: height\. Did you mean 'hight'"):
        prepare(datasets.csv(tmp_path / "a.csv", target="y", test=tmp_path / "b.csv"))


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufeffy,a\n0,1\n1,2\n".encode())
    assert prepare(datasets.csv(tmp_path / "a.csv", target="y")).columns == ("a",)


def test_parquet_that_is_none(tmp_path):
    (tmp_path / "a.parquet").write_text("a,b\n")
    with pytest.raises(InputError, match="cannot be read"):
        datasets.parquet(tmp_path / "a.parquet", target="b")()


def test_parquet_dates_are_no_numbers(tmp_path):
    table = pd.DataFrame({"day": pd.to_datetime(["2020-01-01", "2020-01-02"]), "y": [0, 1]})
    table.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"no number and no text in column 'day', row 1 .*2020-01-01"):
        datasets.parquet(tmp_path / "a.parquet", target="y")()


def test_npz_comes_back(tmp_path):
    data = datasets.digits()
    np.savez(tmp_path / "digits.npz", images=(data.inputs * 16).astype(np.uint8), y=data.targets)
    prepared = prepare(datasets.npz(tmp_path / "digits.npz", inputs="images"))
    assert (prepared.inputs.dtype, prepared.spec.outputs) == (np.uint8, 10)
    np.testing.assert_array_equal(prepared.inputs / 16, data.inputs)


def test_npz_errors(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 1)), y=np.array([None, 1]))
    with pytest.raises(InputError, match=r"no such array in .*: image\. Did you mean 'images'"):
        datasets.npz(tmp_path / "a.npz", inputs="image")()
    with pytest.raises(InputError, match=r"cannot be read.*pickle"):
        datasets.npz(tmp_path / "a.npz", inputs="images")()
    np.save(tmp_path / "b.npy", np.zeros(3))
    (tmp_path / "c.npz").write_text("no archive")
    for name in ("b.npy", "c.npz"):
        with pytest.raises(InputError, match=r"no \.npz file: .*numpy\.savez"):
            datasets.npz(tmp_path / name)()
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "d.npz").write_bytes(whole[:200].replace(b"\0", b"\1") + whole[200:])
    with pytest.raises(InputError, match="cannot be read"):
        datasets.npz(tmp_path / "d.npz", inputs="images")()


def test_nothing_in_a_data_file_is_unpickled(tmp_path, unpickled):
    evil = np.array([Evil(tmp_path / "made")] * 2)
    np.savez(tmp_path / "a.npz", x=evil, y=evil)
    np.save(tmp_path / "a.npy", evil)
    mark = {b"ARROW:extension:name": b"arrow.py_extension_type"}
    mark[b"ARROW:extension:metadata"] = pickle.dumps(Evil(tmp_path / "made"))
    fields = [pa.field("x", pa.int64(), metadata=mark), pa.field("y", pa.int64())]
    pq.write_table(pa.table([[1, 2], [0, 1]], schema=pa.schema(fields)), tmp_path / "a.parquet")
    for refused in (datasets.npz(tmp_path / "a.npz"), datasets.npy(tmp_path / "a.npy", tmp_path / "a.npy")):
        with pytest.raises(InputError, match=r"Python objects|allow_pickle"):
            refused()
    assert datasets.parquet(tmp_path / "a.parquet", target="y")().inputs.tolist() == [[1], [2]]
    assert unpickled == []
    assert not (tmp_path / "made").exists()


def test_arrays_keep_groups_and_test():
    prepared = prepare(datasets.arrays([[1], [2]], ["a", "b"], groups=[1, 2], test=([[3]], ["a"])))
    assert (prepared.own_test, prepared.groups.tolist()) == (1, [1, 2])


def test_importing_costs_only_numpy():
    code = """if True:
        import sys, types
        package = types.ModuleType("tuner")  # without tuner/__init__.py, which imports everything
        package.__path__ = ["tuner"]
        sys.modules["tuner"] = package
        import tuner.data.datasets
        print(sorted({"sklearn", "scipy", "pandas", "pyarrow", "jax", "flax", "optuna", "mlflow"} & set(sys.modules)))
    """
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_npy_files_are_mapped_and_not_read(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1), np.uint8)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", np.arange(60) % 3)
    loader = datasets.npy(tmp_path / "images.npy", tmp_path / "labels.npy")
    assert repr(loader).startswith("datasets.npy(")
    data = loader()
    assert isinstance(data.inputs, np.memmap)
    prepared = prepare(loader)
    assert np.shares_memory(prepared.inputs, data.inputs) or isinstance(prepared.inputs.base, np.memmap)
    np.testing.assert_array_equal(prepared.inputs, images)
    assert prepared.spec.outputs == 3


def test_what_is_no_npy_file_says_so(tmp_path):
    (tmp_path / "images.npy").write_text("no array")
    np.save(tmp_path / "labels.npy", np.arange(3))
    with pytest.raises(InputError, match=r"no \.npy file.*numpy\.save"):
        datasets.npy(tmp_path / "images.npy", tmp_path / "labels.npy")()
