"""Table 1: the ODE-Net on MNIST, trained through the adjoint; error, parameters and cost."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from neurode.data import MNIST, ArrayBatches, load_mnist, random_crop, scale_pixels
from neurode.gradients import Backsolve, Checkpointed, Direct
from neurode.models import ODENet, odenet
from neurode.report import LearningCurve, draw_training
from neurode.reproduce.experiment import Findings, Value, check_choice, check_whole
from neurode.solvers import Dopri5
from neurode.store import save
from neurode.training import FitResult, fit

# Which row of the table a way to differentiate belongs to.
GRADIENTS = {
    "backsolve": ("ODE-Net", Backsolve()),
    "checkpointed": ("ODE-Net exact", Checkpointed()),
    "direct": ("RK-Net", Direct()),
}
MODELS = ("odenet",)


@dataclass(frozen=True)
class Config:
    """What decides the result. The paper leaves the schedule open; it is the authors' later one.

    (torchdiffeq, examples/odenet_mnist.py, which has no weight decay either.)
    """

    model: str = "odenet"
    gradient: str = "backsolve"  # the paper's adjoint
    seed: int = 0
    epochs: int = 160
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    milestones: tuple[float, ...] = (60 / 160, 100 / 160, 140 / 160)  # of the training; x 0.1 each
    padding: int = 4  # random crops, in pixels
    channels: int = 64
    downsampling: str = "res"
    tolerance: float = 1e-3  # relative and absolute; the paper's for classification, section 6
    max_steps: int = 256  # far more than ever seen: a solve that needs them has failed
    train_images: int = 60_000
    test_images: int = 10_000
    test_batch: int = 125

    def __post_init__(self):
        check_choice("model", self.model, MODELS)
        check_choice("gradient", self.gradient, GRADIENTS)
        check_choice("downsampling", self.downsampling, ("res", "conv"))
        for name in ("epochs", "batch_size", "channels", "train_images", "test_images"):
            check_whole(name, getattr(self, name), 1)
        check_whole("seed", self.seed, 0)


QUICK = {"epochs": 1, "train_images": 12_800, "test_images": 1_000}  # 100 steps


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary."""
    return f"{config.model}-{config.gradient}-epochs{config.epochs}-seed{config.seed}"


def run(
    config: Config, folder: Path, *, data: Any, resume: bool = True, progress: bool = True
) -> Findings:
    """Train the model on MNIST and test it after every epoch.

    Args:
        config: what to train and how.
        folder: of the run; checkpoints and metrics go there, and at the end model.safetensors.
        data: the folder with MNIST's four files, or an `MNIST`.
        resume: go on with what the folder holds.
        progress: show it on standard error.

    Raises:
        DataError: the data are missing or damaged.
        ConfigMismatch: the folder holds a run of another configuration.
        TrainingError: the loss was not finite.
    """
    mnist = data if isinstance(data, MNIST) else load_mnist(data)
    for_model, for_batches, for_fit = jax.random.split(jax.random.key(config.seed), 3)
    row, gradient = GRADIENTS[config.gradient]
    model = ODENet(
        channels=config.channels,
        downsampling=config.downsampling,
        solver=Dopri5(),
        rtol=config.tolerance,
        atol=config.tolerance,
        gradient=gradient,
        max_steps=config.max_steps,
        key=for_model,
    )
    batches = CroppedDigits(mnist, config, for_batches)
    test_images = mnist.test_images[: config.test_images]
    test_labels = mnist.test_labels[: config.test_images]

    def test(_step: int, model: ODENet, _metrics: Any) -> dict[str, float]:
        return evaluate(model, test_images, test_labels, config.test_batch)

    result = fit(
        odenet.objective,
        model,
        batches,
        optimizer=make_optimizer(config, batches.steps_per_epoch),
        steps=config.epochs * batches.steps_per_epoch,
        key=for_fit,
        run=folder,
        config=asdict(config),
        resume=resume,
        callback=test,
        progress=progress,
    )
    if not result.interrupted:
        save(folder / "model.safetensors", result.model, {"config": asdict(config)})
    return _collect(config, row, result, batches.steps_per_epoch)


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
    """SGD with momentum; the rate falls to a tenth at every milestone."""
    steps = config.epochs * steps_per_epoch
    rate = config.learning_rate * config.batch_size / 128
    falls = {round(milestone * steps): 0.1 for milestone in config.milestones}
    schedule = optax.piecewise_constant_schedule(rate, falls)
    return optax.sgd(schedule, momentum=config.momentum)


def evaluate(
    model: ODENet, images: np.ndarray, labels: np.ndarray, batch_size: int
) -> dict[str, float]:
    """Test a model, batch by batch in one compiled program.

    Args:
        model: an `ODENet`.
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
def _predict(model: ODENet, images: np.ndarray) -> tuple[Array, Array]:
    """Classes [count, batch] and evaluations [count] of images [count, batch, h, w]."""

    def batch(images):
        logits, stats = model(scale_pixels(images))
        return logits.argmax(1), stats.num_f_evals

    return jax.lax.map(batch, jnp.asarray(images))


def _collect(config: Config, row: str, result: FitResult, steps_per_epoch: int) -> Findings:
    """The numbers of a run; of an interrupted one, only those that do not depend on its end."""
    history = result.history
    last = slice(-min(steps_per_epoch, len(history["step"])), None)  # the final epoch
    testing = np.sum(history.get("evaluation/test_seconds", 0.0))
    seconds = result.seconds - float(testing)
    per_second = result.steps_done * config.batch_size / seconds
    parameters = sum(x.size for x in jax.tree.leaves(eqx.filter(result.model, eqx.is_array)))
    values = {"parameters": parameters}
    if not result.interrupted:
        values |= {
            "test_error": history["evaluation/test_error"][-1],
            "seconds_per_epoch": seconds / config.epochs,
            "nfe_forward": np.mean(history["nfe_forward"][last]),
            "nfe_backward": np.mean(history["nfe_backward"][last]),
        }
    notes = f"trained on {per_second:.0f} images per second, {config.epochs} epochs"
    return Findings(
        values={(row, metric): Value(float(value)) for metric, value in values.items()},
        figures={} if result.interrupted else {"figure": _draw(row, history)},
        complete=False,  # the other rows are not run yet
        interrupted=result.interrupted,
        seeds=(config.seed,),
        seconds=result.seconds,
        notes=(notes,),
    )


def _draw(row: str, history: dict[str, np.ndarray]) -> Any:
    """The loss and the evaluations, as means of up to 200 stretches of the training."""
    count = min(200, len(history["step"]))
    parts = np.array_split(np.arange(len(history["step"])), count)

    def thin(name):
        return np.array([np.mean(history[name][part]) for part in parts])

    names = ("loss", "nfe_forward", "nfe_backward")
    loss, forward, backward = (thin(name) for name in names)
    curve = LearningCurve(thin("step"), loss, row, nfe_forward=forward, nfe_backward=backward)
    return draw_training([curve], loss_label="cross-entropy (nats)")
