"""One run of T time boxes: data, graph, session (docs/many-boxes.md)."""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiment.settings import Settings
from experiment.training import mnist

if TYPE_CHECKING:
    from experiment.training.many_boxes_graph import Graph

DIGITS, TRAIN_IMAGES, TEST_IMAGES = ("01234", "56789"), 2000, 1000
BLOCK = 100  # images in a Session.run


class Run(NamedTuple):
    """The settings of a run.

    Attributes:
        task: "strips": each time box sees the next rows of the image; "delay": the first time box
            sees the image, the others nothing.
        time_boxes: T.
        window: K.
        module_input: of the modules at the end of each window but the last: "state", "state+label"
            or "label"; "": there are no modules.
        hidden_units: H.
        epochs: over the training images.
        seed: of the split and of the initial values.
        images: "test" or "held_out", the images that the accuracy is of.
        lr_x, lr_rec, lr_sg: as in `graph.weights.Rates`.
        sg_deviation: the standard deviation of the modules' initial weights.
        compared: whether the gradient of each time box is compared with the true one.
    """

    task: str
    time_boxes: int
    window: int
    module_input: str
    hidden_units: int
    epochs: int
    seed: int
    images: str
    lr_x: float
    lr_rec: float
    lr_sg: float = 0.0
    sg_deviation: float = 0.0
    compared: bool = False


def initial_values(run: Run, shapes: dict[str, Any]) -> dict[str, npt.NDArray[np.float64]]:
    """Draws the initial values of variables, by name, from `RandomState(run.seed)`, in this order.

    Wx and Wfc are normal with variance 1 / rows, Wrec is orthogonal, the modules' weights are
    normal with the deviation `run.sg_deviation`.
    """
    random = np.random.RandomState(run.seed)
    values = {}
    for name, shape in shapes.items():
        normal = random.standard_normal(shape)
        if name == "w_rec":
            values[name] = np.linalg.qr(normal)[0]
        else:
            values[name] = normal * (run.sg_deviation if "sg" in name else shape[0] ** -0.5)
    return values


def initialize(graph: "Graph", run: Run, train: mnist.Images) -> None:
    """Gives the variables their initial values, and the graph its training images."""
    shapes = {name: variable.shape.as_list() for name, variable in graph.variables.items()}
    values = initial_values(run, shapes)
    feed = {graph.variables[name].initial_value: value for name, value in values.items()}
    feed |= {graph.images.initial_value: train.x, graph.labels.initial_value: train.y[:, None]}
    variables = (*graph.variables.values(), graph.images, graph.labels)
    graph.session.run([variable.initializer for variable in variables], feed)


def train_epoch(graph: "Graph", run: Run) -> tuple[float, npt.NDArray[np.float64]]:
    """One training step an image, in order.

    Returns:
        The sum of the costs; and if `run.compared`, for each time box, Σ⟨g, t⟩, Σ|g|² and Σ|t|²,
        [3, T]: each image's g, what the box learns from, and t, the true gradient, with the weights
        before the block that the image is in. Else zeros.
    """
    costs, products = [], np.zeros((3, run.time_boxes))
    rates = {placeholder: getattr(run, name) for name, placeholder in graph.rates._asdict().items()}
    for first in range(0, TRAIN_IMAGES, BLOCK):
        feed = {**rates, graph.first: first}
        if run.compared:
            g, t = graph.session.run(graph.synthetic_and_true, feed).astype(np.float64)
            products += [
                np.sum(one * other, axis=(1, 2)) for one, other in ((g, t), (g, g), (t, t))
            ]
        costs.append(graph.session.run(graph.train, feed))
    return float(np.sum(costs, dtype=np.float64)), products


def train(
    run: Run, data: mnist.Data, observe: Callable[..., None] = lambda: None
) -> dict[str, Any]:
    """Trains and predicts.

    Args:
        run: the settings.
        data: all of MNIST's test set.
        observe: called before each epoch.

    Returns:
        The settings of the run; `correct` of `total` images; `cost_last`, of the last epoch, None
        if it is not finite; `cpu_seconds`, compilation included. If the run is compared, for each
        epoch and each time box but the last, the pooled cosine of g and t and the relative error
        √(Σ|g − t|² / Σ|t|²), see `train_epoch`.
    """
    from experiment.training.many_boxes_graph import build  # which imports TensorFlow

    begun = time.process_time()
    split = mnist.split(
        data,
        Settings(
            digits=DIGITS, train_images=TRAIN_IMAGES, test_images=TEST_IMAGES, split_seed=run.seed
        ),
    )
    graph = build(run.task, run.time_boxes, run.window, run.module_input, run.hidden_units)
    with graph.session.graph.as_default():
        initialize(graph, run, split.train)
    cost, compared = math.nan, []
    for _ in range(run.epochs):
        observe()
        cost, products = train_epoch(graph, run)
        compared.append(products)
    images: mnist.Images = getattr(split, run.images)
    p = graph.session.run(graph.predictions, {graph.new_images: images.x})
    measured = {
        **run._asdict(),
        "correct": int(np.sum((p > 0.5) == images.y)),  # NaN > 0.5 is False: 0.
        "total": len(images.y),
        "cost_last": round(cost, 3) if math.isfinite(cost) else None,
        "cpu_seconds": round(time.process_time() - begun, 2),
    }
    if run.compared:
        g_t, g_g, t_t = np.array(compared)[:, :, :-1].transpose(1, 0, 2)
        with np.errstate(all="ignore"):  # Where a run diverges.
            measured["cosines"] = _rounded(g_t / np.sqrt(g_g * t_t))
            measured["relative_errors"] = _rounded(np.sqrt((g_g - 2 * g_t + t_t) / t_t))
    return measured


def _rounded(values: npt.NDArray[np.float64]) -> list[list[float | None]]:
    """Three decimals of values [m, n]; None for those that are not finite."""
    return [[round(v, 3) if math.isfinite(v) else None for v in row] for row in values.tolist()]
