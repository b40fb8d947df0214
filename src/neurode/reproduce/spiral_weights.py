"""The trained models of Table 2, by name: which there are, and where they are kept."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from neurode.reproduce.experiment import make_config
from neurode.reproduce.spiral_training import make_model, train
from neurode.reproduce.spirals import KINDS, READINGS, Config
from neurode.store import ArchiveMismatch, load, read_metadata, save

WEIGHTS = "weights.safetensors"


class Training(NamedTuple):
    """One of the trainings behind the table.

    Attributes:
        kind: a key of `KINDS`.
        count: observed points of each window.
        seed: of everything random.
        reading: of the paper, a key of `READINGS`; "" for the table's own.
    """

    kind: str
    count: int
    seed: int
    reading: str = ""

    @property
    def name(self) -> str:
        """The name of its folder, and of its weights in the file."""
        words = [self.kind, str(self.count), f"seed{self.seed}"]
        return "-".join(words + self.reading.replace("'", "").split())


def list_trainings(config: Config) -> Iterator[Training]:
    """Every model of the table, then those of other readings of the paper."""
    for seed in config.seeds:
        for count in config.counts:
            for kind in KINDS:
                yield Training(kind, count, seed)
    for reading in READINGS:
        for seed in config.seeds[: config.variant_runs]:
            for count in config.counts:
                for kind in ("rnn", "latent"):
                    yield Training(kind, count, seed, reading)


def save_models(file: Path, config: Config, models: dict[str, Any]) -> None:
    """Write all models, by the names of their trainings, and what was trained.

    Raises:
        SaveError: the file cannot be written.
    """
    save(file, models, {"experiment": "table2", "config": asdict(config)})


def load_models(file: Path) -> tuple[Config, dict[str, Any]]:
    """Read what was trained, and all models by the names of their trainings.

    Raises:
        ArchiveError: the weights cannot be read, or are no models of Table 2.
    """
    held = read_metadata(file)
    if held.get("experiment") != "table2" or "config" not in held:
        raise ArchiveMismatch(
            f"{file} holds no models of Table 2; run `neurode reproduce table2` first, or name "
            "the file that it wrote"
        )
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in held["config"].items()}
    config = make_config(Config, given)
    like = {one.name: make_model(config, one.kind, one.seed) for one in list_trainings(config)}
    return config, load(file, like)[0]


class Obtained(NamedTuple):
    """Trained models, and where they came from.

    Attributes:
        models: as asked for.
        from_table2: whether they are those of Table 2.
        interrupted: whether a signal stopped their training.
        seconds: of their training.
    """

    models: list[Any]
    from_table2: bool
    interrupted: bool
    seconds: float


def obtain_models(
    config: Config,
    weights: Any,
    folder: Path,
    kinds: tuple[str, ...],
    counts: tuple[int, ...],
    resume: bool,
    progress: bool,
) -> Obtained:
    """The models of the first seed: those of Table 2 where it has been run, else trained here.

    Args:
        config: the experiment's.
        weights: the file of Table 2's weights or its folder; None is results/table2.
        folder: for the training.
        kinds: keys of `KINDS`.
        counts: numbers of observations, for each of which every kind is wanted.
        resume: go on with what the folder holds.
        progress: show it on standard error.

    Raises:
        ArchiveError: the weights cannot be read, or are those of another configuration.
    """
    wanted = [Training(kind, count, config.seed) for count in counts for kind in kinds]
    place = Path("results/table2") if weights is None else Path(weights)
    file = place / WEIGHTS if place.suffix != ".safetensors" else place
    if weights is not None or (config == Config(seed=config.seed) and file.is_file()):
        found = load_models(file)[1]
        lost = [one.name for one in wanted if one.name not in found]
        if lost:
            raise ArchiveMismatch(f"{file} holds no {lost[0]}; there are {', '.join(found)}")
        return Obtained([found[one.name] for one in wanted], True, False, 0.0)
    models, seconds = [], 0.0
    for one in wanted:
        here = folder / one.name
        result = train(config, one.kind, one.seed, one.count, here, resume, progress)
        seconds += result.seconds
        if result.interrupted:
            return Obtained([], False, True, seconds)
        models.append(result.model)
    return Obtained(models, False, False, seconds)
