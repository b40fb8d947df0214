"""Table 1: MNIST by ODE-Nets and what they are compared with; error, parameters and cost."""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from neurode.data import MNIST, ArrayBatches, deskew, load_mnist, random_crop, scale_pixels
from neurode.models import odenet
from neurode.reproduce.experiment import (
    Checked,
    ExperimentError,
    Findings,
    check_choice,
    check_whole,
    make_config,
)
from neurode.reproduce.table1_measures import measure_costs
from neurode.reproduce.table1_models import MODELS, make_model
from neurode.reproduce.table1_outcomes import collect, restore, write_outcome
from neurode.store import load, read_metadata, save
from neurode.training import FitResult, fit

__all__ = ["QUICK", "Config", "check", "name_run", "restore", "run"]

ALL = "all"


@dataclass(frozen=True)
class Config:
    """What decides the result.

    The paper leaves the schedule open. The authors' later one (torchdiffeq,
    examples/odenet_mnist.py) is schedule="steps" with epochs=160, days of work for two cores and
    all rows; here it is a cosine over few epochs, chosen on images held out of training. The rest
    is theirs: SGD with momentum, batches, crops, no weight decay.
    """

    model: str = ALL  # or one row, a key of `MODELS`
    seed: int = 0
    epochs: int = 12
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    schedule: str = "cosine"  # down to nothing, after a short warm-up; or "steps"
    milestones: tuple[float, ...] = (60 / 160, 100 / 160, 140 / 160)  # of the training; x 0.1 each
    padding: int = 4  # random crops, in pixels
    channels: int = 64
    downsampling: str = "res"
    tolerance: float = 1e-3  # relative and absolute; the paper's for classification, section 6
    max_steps: int = 256  # far more than ever seen: a solve that needs them has failed
    train_images: int = 60_000
    test_images: int = 10_000
    validation_images: int = 0  # held out of training, and then tested in place of the test set
    test_batch: int = 125

    def __post_init__(self):
        check_choice("model", self.model, (ALL, *MODELS))
        check_choice("schedule", self.schedule, ("steps", "cosine"))
        check_choice("downsampling", self.downsampling, ("res", "conv"))
        for name in ("epochs", "batch_size", "channels", "train_images", "test_images"):
            check_whole(name, getattr(self, name), 1)
        for name in ("seed", "validation_images"):
            check_whole(name, getattr(self, name), 0)


QUICK = {"epochs": 1, "train_images": 12_800, "test_images": 1_000}  # 100 steps


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary. All rows and seeds share it."""
    return f"epochs{config.epochs}" + ("-validation" if config.validation_images else "")


def run(
    config: Config, folder: Path, *, data: Any, resume: bool = True, progress: bool = True
) -> Findings:
    """Train one row, or all, and put together what the folder then holds.

    Args:
        config: what to train and how.
        folder: of the run; every row and seed has a folder in it, with checkpoints, metrics, and
            at the end model.safetensors and outcome.json.
        data: the folder with MNIST's four files, or an `MNIST`.
        resume: go on with what the folder holds.
        progress: show it on standard error.

    Raises:
        DataError: the data are missing or damaged.
        ConfigMismatch: the folder holds a run of another configuration.
        TrainingError: the loss was not finite.
    """
    mnist = data if isinstance(data, MNIST) else load_mnist(data)
    for model in MODELS if config.model == ALL else (config.model,):
        place = folder / f"{model}-seed{config.seed}"
        result = train(config, model, place, mnist, resume=resume, progress=progress)
        if result.interrupted:
            return Findings({}, {}, False, True, (config.seed,), result.seconds)
    return collect(config, folder)


def train(
    config: Config, model: str, folder: Path, mnist: MNIST, *, resume: bool, progress: bool
) -> FitResult:
    """Train one row with one seed, test it after every epoch, and measure what it costs.

    With validation images, "test" stands for them: a schedule is chosen so, never by the test set.

    Args:
        config: how.
        model: a key of `MODELS`.
        folder: of this training.
        mnist: the data.
        resume: go on with what the folder holds.
        progress: show it.
    """
    row = MODELS[model]
    described = asdict(config) | {"model": model}
    if config.validation_images:
        mnist = hold_out(mnist, config.validation_images)
    if row.deskewed:
        images = (deskew(mnist.train_images[: config.train_images]), deskew(mnist.test_images))
        mnist = mnist._replace(train_images=images[0], test_images=images[1])
    for_model, for_batches, for_fit = jax.random.split(jax.random.key(config.seed), 3)
    net = make_model(config, model, for_model, pixels=mnist.test_images.shape[1])
    padding = 0 if row.blocks < 0 else config.padding  # LeCun's had no distortions
    batches = CroppedDigits(mnist, replace(config, padding=padding), for_batches)
    test_images = mnist.test_images[: config.test_images]
    test_labels = mnist.test_labels[: config.test_images]

    def test(_step: int, net: Any, _metrics: Any) -> dict[str, float]:
        return evaluate(net, test_images, test_labels, config.test_batch)

    result = fit(
        odenet.objective,
        net,
        batches,
        optimizer=make_optimizer(config, batches.steps_per_epoch),
        steps=config.epochs * batches.steps_per_epoch,
        key=for_fit,
        run=folder,
        config=described,
        resume=resume,
        callback=test,
        progress=progress,
    )
    if not result.interrupted:
        error = float(result.history["evaluation/test_error"][-1])
        facts = {"config": described, "row": row.name, "test_error": error}
        save(folder / "model.safetensors", result.model, facts)
        costs = measure_costs(result.model, *jax.device_get(batches(jnp.asarray(0))))
        write_outcome(folder, config, row.name, result, batches.steps_per_epoch, costs)
    return result


def check(folder: Path, data: Any) -> list[Checked]:
    """Test the weights that lie with the results once more.

    Args:
        folder: results/table1.
        data: the folder with MNIST's four files, or an `MNIST`.

    Raises:
        ExperimentError: there are no weights.
        ArchiveError, DataError: files are damaged.
    """
    mnist = data if isinstance(data, MNIST) else load_mnist(data)
    found = []
    for path in sorted(folder.glob("weights-*.safetensors")):
        facts = read_metadata(path)
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in facts["config"].items()}
        config = make_config(Config, given)
        pixels = mnist.test_images.shape[1]
        net, _ = load(path, make_model(config, config.model, jax.random.key(0), pixels=pixels))
        images = mnist.test_images[: config.test_images]
        labels = mnist.test_labels[: config.test_images]
        now = evaluate(net, images, labels, config.test_batch)["test_error"]
        found.append(Checked(facts["row"], "test_error", facts["test_error"], now))
    if not found:
        raise ExperimentError(f"{folder} holds no weights-*.safetensors to check")
    return found


def hold_out(mnist: MNIST, count: int) -> MNIST:
    """Put the last `count` training images in the place of the test set.

    Raises:
        ExperimentError: no training images would be left.
    """
    images, labels = mnist.train_images, mnist.train_labels
    if count >= len(labels):
        raise ExperimentError(
            f"validation_images={count} leaves none of the {len(labels)} images to train on"
        )
    return MNIST(images[:-count], labels[:-count], images[-count:], labels[-count:])


class CroppedDigits(eqx.Module):
    """Shuffled batches of randomly cropped digits, as a pure function of the step.

    Attributes:
        digits: batches of images (uint8) and labels.
        key: of the crops.
        padding: greatest shift, in pixels.
    """

    digits: ArrayBatches
    key: Array
    padding: int = eqx.field(static=True)

    def __init__(self, mnist: MNIST, config: Config, key: Array):
        """Take the first `config.train_images` training images."""
        for_order, self.key = jax.random.split(key)
        n = min(config.train_images, len(mnist.train_labels))
        arrays = (mnist.train_images[:n], mnist.train_labels[:n])
        self.digits = ArrayBatches(arrays, config.batch_size, key=for_order)
        self.padding = config.padding

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return self.digits.steps_per_epoch

    def __call__(self, step: Int[Array, ""]) -> tuple[Array, Array]:
        """Return images in [0, 1] and labels."""
        images, labels = self.digits(step)
        images = random_crop(images, jax.random.fold_in(self.key, step), self.padding)
        return scale_pixels(images), labels


def make_optimizer(config: Config, steps_per_epoch: int) -> optax.GradientTransformation:
    """SGD with momentum; the rate falls to a tenth at every milestone, or along a cosine."""
    steps = config.epochs * steps_per_epoch
    rate = config.learning_rate * config.batch_size / 128
    if config.schedule == "cosine":
        warmup = max(1, steps // 20)
        cosine = optax.warmup_cosine_decay_schedule(0.1 * rate, rate, warmup, steps, 1e-3 * rate)
        return optax.sgd(cosine, momentum=config.momentum)
    falls = {round(milestone * steps): 0.1 for milestone in config.milestones}
    schedule = optax.piecewise_constant_schedule(rate, falls)
    return optax.sgd(schedule, momentum=config.momentum)


def evaluate(
    model: Any, images: np.ndarray, labels: np.ndarray, batch_size: int
) -> dict[str, float]:
    """Test a model, batch by batch in one compiled program.

    Args:
        model: a row's network.
        images: uint8 [n, 28, 28].
        labels: [n].
        batch_size: images that are solved together.

    Returns:
        "test_error" in percent, "test_nfe" (mean over the batches), "test_seconds".
    """
    n = len(labels)
    count = -(-n // batch_size)
    # The last batch is filled up with images that do not count.
    rows = np.minimum(np.arange(count * batch_size), n - 1).reshape(count, batch_size)
    is_counted = (np.arange(count * batch_size) < n).reshape(count, batch_size)
    began = time.monotonic()
    predicted, nfe = jax.device_get(_predict(model, images[rows]))
    seconds = time.monotonic() - began
    errors = np.sum((predicted != labels[rows]) & is_counted)
    return {
        "test_error": 100 * float(errors) / n,
        "test_nfe": float(np.mean(nfe)),
        "test_seconds": seconds,
    }


@eqx.filter_jit
def _predict(model: Any, images: np.ndarray) -> tuple[Array, Array]:
    """Classes [count, batch] and evaluations [count] of images [count, batch, h, w]."""

    def batch(images):
        logits, stats = model(scale_pixels(images))
        return logits.argmax(1), jnp.zeros(()) if stats is None else stats.num_f_evals

    return jax.lax.map(batch, jnp.asarray(images))
