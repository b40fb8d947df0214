"""What the section on digits writes: every word about a number is made from that number."""

import numpy as np

from neurode.demo.digits_findings import NETS, Digits
from neurode.demo.learning import average_history
from neurode.demo.section import SectionResult
from neurode.report import Curve, Frame, Page, Panel, draw_frames, draw_panels, format_number

_DRAWN = 400  # images in the picture of the features


def present(found: Digits) -> SectionResult:
    """Put the findings into words, figures and numbers.

    Args:
        found: what was found.
    """
    accuracies = found.accuracies()
    ode, resnet = NETS
    share = found.parameters[ode] / found.parameters[resnet]
    summary = (
        f"**Digits.** An ODE in place of {found.blocks} residual blocks reads handwritten digits "
        f"with {format_number(100 * accuracies[ode], 3)}% accuracy and "
        f"{format_number(100 * share, 2)}% of the residual network's parameters. "
        f"{spell_lead(found)}"
    )
    headline = {
        f"{name}: accuracy on digits held out": f"{format_number(100 * value, 3)}%"
        for name, value in accuracies.items()
    }

    def write(page: Page) -> None:
        _write_comparison(page, found)
        _write_dial(page, found)
        _write_features(page, found)

    numbers = {
        "accuracy": accuracies,
        "parameters": dict(found.parameters),
        "chosen_tolerance": found.dial.chosen,
        "tolerances": found.dial.tolerances.tolist(),
        "nfe": found.dial.nfe.tolist(),
        "scores": found.dial.scores.tolist(),
        "seconds": found.seconds,
    }
    return SectionResult(summary, headline, write, numbers)


def spell_lead(found: Digits) -> str:
    """Say how the ODE-Net compares with the ResNet, and whether that is more than chance."""
    gain, error = found.lead()
    gap = f"{format_number(100 * abs(gain), 2)} ± {format_number(100 * error, 1)} points"
    if abs(gain) <= 2 * error:
        return f"The two are level (difference {gap})."
    return f"It is {'better' if gain > 0 else 'worse'} than that by {gap}."


def spell_saving(found: Digits) -> str:
    """Say what the tolerance that was chosen saves over that of the training."""
    dial = found.dial
    at = np.argmin(np.abs(np.log(dial.tolerances / found.trained_at)))
    chosen = dial.tolerances == dial.chosen
    share = float(dial.nfe[chosen][0] / dial.nfe[at])
    return (
        f"The loosest tolerance that costs no accuracy is {format_number(dial.chosen, 2)}; it "
        f"takes {format_number(100 * share, 2)}% of the evaluations at "
        f"{format_number(found.trained_at, 2)}, the tolerance of the training."
    )


def _write_comparison(page: Page, found: Digits) -> None:
    ode, resnet = NETS
    curves = [
        average_history(_with_counts(found.histories[name]), name, role)[0]
        for name, role in ((ode, "model"), (resnet, "baseline"))
    ]
    accuracies = found.accuracies()
    n = len(found.labels)
    page.section("Digits: an ODE in place of a residual network").text(
        f"1797 scans of handwritten digits, 8 x 8 pixels, from scikit-learn; {found.learned} were "
        f"learned from, {n} were not seen. Both networks have the same first layer, head, "
        f"optimiser and number of steps; between them one has {found.blocks} residual blocks "
        "z + f(z), each with weights of its own, the other dz/dt = f(t, z) from depth 0 to 1."
    ).table(
        ["network", "accuracy (%)", "standard error", "parameters"],
        [
            [
                name,
                100 * accuracies[name],
                100 * (accuracies[name] * (1 - accuracies[name]) / n) ** 0.5,
                found.parameters[name],
            ]
            for name in NETS
        ],
        digits=3,
    ).figure(
        draw_panels(
            [
                Panel(
                    "cross-entropy of the batches (nats)",
                    [Curve(c.steps, c.loss, c.label, c.role) for c in curves],
                    x_label="step",
                    log_y=True,
                ),
                Panel(
                    "evaluations of f per update, forwards",
                    [
                        Curve(curves[0].steps, curves[0].nfe_forward, ode, "model"),
                        Curve(
                            curves[1].steps,
                            np.full(len(curves[1].steps), found.blocks),
                            resnet,
                            "baseline",
                        ),
                    ],
                    x_label="step",
                ),
            ]
        ),
        "digits_training",
        "Training. A residual network evaluates each of its blocks once; the solver of the ODE-Net "
        "chooses how often to evaluate its one f.",
    )


def _with_counts(history):
    """A residual network has no solve to count."""
    zeros = np.zeros(len(history["step"]))
    return {"nfe_forward": zeros, "nfe_backward": zeros} | dict(history)


def _write_dial(page: Page, found: Digits) -> None:
    page.section("Accuracy against time, after training").figure(
        found.dial.draw(),
        "digits_tolerance",
        "The trained ODE-Net with other tolerances, each image a solve of its own. "
        + spell_saving(found),
    )


def _write_features(page: Page, found: Digits) -> None:
    labels = found.labels[:_DRAWN]
    frames = [Frame(points=points[:_DRAWN], groups=labels) for points in found.features]
    half = 1.05 * float(np.quantile(np.abs(found.features), 0.995))
    page.section("Features over depth").figure(
        draw_frames(
            [frames],
            titles=[f"depth {d:g}" for d in found.depths],
            limits=(-half, half, -half, half),
        ),
        "digits_features",
        f"The states of {len(labels)} held-out images, a colour for each digit, on their "
        "way from the first layer to the head: in the plane in which they spread most at the end.",
    )
