"""The report of `neurode fit classifier` and `regressor`: how good, what it costs, the training."""

from pathlib import Path
from typing import Any

import numpy as np

from neurode.data import LabelledRows
from neurode.demo.learning import average_history
from neurode.estimators import ToleranceDial
from neurode.report import Curve, Page, Panel, Points, draw_panels, draw_training, format_number
from neurode.store import saving

_MOST_CLASSES = 12  # in a table of who is taken for whom


def write_supervised_report(
    out: Path,
    model: Any,
    held_out: LabelledRows | None,
    dial: ToleranceDial | None,
    *,
    target: str,
    command: str,
) -> Path:
    """Write report.html and its figures into the run folder.

    Args:
        out: the run folder.
        model: the fitted estimator.
        held_out: rows it was not fitted to, or None.
        dial: what `tune_tolerance` found on them, or None.
        target: the column that is learned.
        command: what was typed.

    Returns:
        The path of report.html.

    Raises:
        SaveError: it could not be written.
    """
    s = model.stats_
    page = Page(
        f"{target}, learned by an ODE-Net",
        f"From {', '.join(model.names_)}; {s['rows']} rows, {s['parameters']} parameters.",
    )
    facts: dict[str, Any] = {"steps": s["steps"], "updates skipped": s["skipped"]}
    if dial is not None and held_out is not None:
        score = format_number(dial.scores[dial.tolerances == dial.chosen][0], 4)
        facts = {f"{dial.score_name}, {len(held_out.values)} held-out rows": score, **facts}
        _write_held_out(page.section("Held-out rows"), model, held_out, target)
        page.section("The tolerance of predictions").figure(
            dial.draw(),
            "tolerance",
            "What becomes of predictions as the tolerance of the solve is turned, without training "
            f"anew. Chosen: {format_number(dial.chosen, 2)}, the loosest of these at which the "
            f"{dial.score_name} of the held-out rows has not dropped.",
        )
    page.summary.facts(facts, big=True)
    curve, each = average_history(model.history_, "training")
    others = " that were not held out" if held_out is not None else ""
    page.section("Training").figure(
        draw_training([curve], loss_label="loss"),
        "training",
        f"Each point is the mean of {each} steps. "
        + (
            f"The weights are those of step {s['kept']}, the best on {s['judged']} rows set aside."
            if s["judged"]
            else f"All {s['rows']} rows{others} were learned from; nothing stopped the training."
        ),
    )
    with saving(out):
        return page.write(out, command=command, seconds=s["seconds"])


def _write_held_out(section: Any, model: Any, held_out: LabelledRows, target: str) -> None:
    found = model.predict(held_out.values)
    if not hasattr(model, "classes_"):
        truth = np.asarray(held_out.target)
        ends = np.array([min(truth.min(), found.min()), max(truth.max(), found.max())])
        panel = Panel(
            "held-out rows",
            [Curve(ends, ends, "equal", "baseline")],
            [Points(truth, found, "rows", "model")],
            x_label=target,
            y_label=f"{target}, predicted",
        )
        section.figure(draw_panels([panel], columns=1, panel_height=3.2), "heldout", "Each row.")
        return
    classes = model.classes_
    if len(classes) > _MOST_CLASSES:
        return
    counts = [
        [str(true), *(int(((held_out.target == true) & (found == c)).sum()) for c in classes)]
        for true in classes
    ]
    section.table(
        [f"{target}, true", *(f"taken for {c}" for c in classes)],
        counts,
        caption="How many rows of each label were taken for which.",
    )
