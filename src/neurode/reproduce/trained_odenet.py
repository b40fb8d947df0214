"""A trained ODE-Net for the figures that look into one: Table 1's on MNIST, or a small one."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from sklearn.datasets import load_digits

from neurode import store
from neurode.data import ArrayBatches, load_mnist, scale_pixels
from neurode.gradients import Backsolve
from neurode.models import ODENet, odenet
from neurode.reproduce.experiment import ExperimentError, check_whole, make_config
from neurode.reproduce.table1_mnist import Config as Table1
from neurode.reproduce.table1_models import make_model
from neurode.reproduce.table1_outcomes import find_curve
from neurode.solvers import Dopri5
from neurode.training import fit

HELD_OUT = 360


@dataclass(frozen=True)
class Config:
    """What decides the figure; all but `weights` and `images` is of the small network."""

    weights: str = ""  # a model.safetensors of table1's odenet; none: train a small one on digits
    seed: int = 0
    steps: int = 400
    batch_size: int = 64
    channels: int = 8
    learning_rate: float = 1e-2
    tolerance: float = 1e-3
    images: int = 128  # test images that are looked at, solved together
    tested: int = 2_000  # test images that accuracy is measured on, where there are as many

    def __post_init__(self):
        for name in ("steps", "batch_size", "channels", "images", "tested"):
            check_whole(name, getattr(self, name), 1)


QUICK = {"steps": 30, "images": 32, "tested": 64}


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary."""
    return f"seed{config.seed}" + ("-table1" if config.weights else "")


class Trained(NamedTuple):
    """A network and what it was not trained on.

    Attributes:
        model: the network.
        images: of the test set, in [0, 1], [n, h, w].
        labels: [n].
        tested: images [m, h, w] and labels [m] of the test set that accuracy is measured on.
        history: metrics of the training by name, if they are known.
        source: in words.
        seconds: of the training.
        interrupted: a signal stopped it.
    """

    model: ODENet
    images: np.ndarray
    labels: np.ndarray
    tested: tuple[np.ndarray, np.ndarray]
    history: dict[str, np.ndarray]
    source: str
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def num_read(self) -> int:
        """Images that accuracy is measured on: whole batches of as many as are looked at."""
        size = min(len(self.images), len(self.tested[1]))
        return len(self.tested[1]) // size * size

    @property
    def described(self) -> str:
        """Of what the numbers are, in words."""
        return (
            f"of {self.source}; {len(self.labels)} test images, solved together; accuracy on "
            f"the first {self.num_read}"
        )


def obtain_odenet(config: Config, data: Any, folder: Path, resume: bool, progress: bool) -> Trained:
    """Load Table 1's ODE-Net, or train a small one on scikit-learn's 8 x 8 digits.

    Args:
        config: which.
        data: MNIST's folder, needed with weights of Table 1.
        folder: of the run.
        resume: go on with what it holds.
        progress: show the training.

    Raises:
        ExperimentError: the weights are not an ODE-Net's of table1, or MNIST's folder is missing.
        ArchiveError, DataError: files are damaged.
    """
    if not config.weights:
        return _train_small(config, folder, resume, progress)
    path = Path(config.weights)
    described = store.read_metadata(path).get("config")
    if not isinstance(described, dict) or not str(described.get("model", "")).startswith("odenet"):
        raise ExperimentError(
            f"{path} holds no ODE-Net of table1: give the model.safetensors of "
            "`neurode reproduce table1 --model odenet`"
        )
    if data is None:
        raise ExperimentError("these weights are MNIST's: pass data=DIR, its folder, as well")
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in described.items()}
    settings = make_config(Table1, given)
    like = make_model(settings, settings.model, jax.random.key(0))
    model, _ = store.load(path, like)
    mnist = load_mnist(data)
    images = np.asarray(scale_pixels(mnist.test_images[: config.tested]))  # pyright: ignore
    tested = images, mnist.test_labels[: config.tested]
    seen, labels = (array[: config.images] for array in tested)
    return Trained(model, seen, labels, tested, _read_history(path, settings), "Table 1's ODE-Net")


def _train_small(config: Config, folder: Path, resume: bool, progress: bool) -> Trained:
    digits: Any = load_digits()
    images = (digits.images / 16).astype(np.float32)
    learned = slice(HELD_OUT, None)
    held_out, tested = (slice(0, min(HELD_OUT, n)) for n in (config.images, config.tested))
    for_model, for_batches, for_fit = jax.random.split(jax.random.key(config.seed), 3)
    arrays = jnp.asarray(images[learned]), jnp.asarray(digits.target[learned], jnp.int32)
    model = ODENet(
        channels=config.channels,
        downsampling="none",
        solver=Dopri5(),
        rtol=config.tolerance,
        atol=config.tolerance,
        gradient=Backsolve(),
        max_steps=256,
        key=for_model,
    )
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps, 0.01)
    described = {k: getattr(config, k) for k in ("seed", "steps", "batch_size", "learning_rate")}
    result = fit(
        odenet.objective,
        model,
        ArrayBatches(arrays, config.batch_size, key=for_batches),
        optimizer=optax.adam(rate),
        steps=config.steps,
        key=for_fit,
        run=folder / "digits",
        config=described,
        resume=resume,
        progress=progress,
    )
    return Trained(
        result.model,
        images[held_out],
        digits.target[held_out],
        (images[tested], digits.target[tested]),
        result.history,
        f"a small ODE-Net on 8 x 8 digits, {config.steps} steps",
        result.seconds,
        result.interrupted,
    )


def _read_history(path: Path, config: Table1) -> dict[str, np.ndarray]:
    """The metrics of the training, if they lie beside the weights: all, or means of stretches."""
    log = path.parent / "metrics.jsonl"
    if not log.is_file():
        curve = find_curve(path.parent, config)
        return {k: np.array(curve[k], float) for k in ("step", "nfe_forward") if k in curve}
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if "kind" not in row]
    return {name: np.array([row[name] for row in rows], float) for name in rows[0]}


def accuracy(trained: Trained, read: Callable[[Array], Array]) -> float:
    """The share of the tested images that are read right, in percent.

    Args:
        trained: with the images.
        read: images [n, h, w] -> logits [n, classes]; it is given as many as are looked at.
    """
    size, count = min(len(trained.images), trained.num_read), trained.num_read
    images, labels = (array[:count] for array in trained.tested)
    batches = np.split(images, count // size)
    logits = np.concatenate([read(jnp.asarray(batch)) for batch in batches])
    return 100 * float(np.mean(logits.argmax(axis=1) == labels))


def chance(trained: Trained, accuracies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95% intervals (Wilson 1927) of accuracies in percent, by chance alone."""
    n, z = trained.num_read, 1.96
    p = np.asarray(accuracies, float) / 100
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return 100 * (middle - half), 100 * (middle + half)
