"""A step of many time boxes: against NumPy, `ordered_manual` and `tf.gradients`, and its order."""

import contextlib
import copy
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from experiment.evaluation.dependencies import executed
from graph.backprop import ordered_manual
from graph.modules import Module
from graph.network import cost_function, read_hidden_state
from graph.stepwise import loop_over_rows
from graph.weights import Rates, declare_weights
from graph.windows import Recurrent, gradients, readout_of, windows_manual
from tests.reference import numpy_windows
from tests.reference.access_order import accesses, unordered

BOXES, PIXELS, WIDTH = 6, 3, 4
# So large that every term of every update shows.
RATES = Rates(lr_x=0.7, lr_rec=0.3, lr_sg=0.2)
WINDOWS = 1, 2, 3, 4, 6
# Which windows lack a module.
LACKING = "none", "last", "all"
LABELS = {"state": (0.0, False), "state+label": (1.5, False), "label": (1.5, True)}
CASES = [
    *((window, lacking, "state+label") for window in WINDOWS for lacking in LACKING),
    (1, "last", "state"),
    (1, "last", "label"),
]


# Between them, every branch of the step.
FAST = [(2, "last", "state+label"), (4, "none", "state+label"), (1, "last", "label")]


def each_of(cases, fast):
    """The other cases are slow."""
    return pytest.mark.parametrize(
        ("window", "lacking", "of"),
        [
            pytest.param(
                *case, marks=() if case in fast else pytest.mark.slow,
                id="K={}, {} without a module, {}".format(*case),
            )
            for case in cases
        ],
    )  # fmt: skip


each_case = each_of(CASES, FAST)
# With the others, most boxes learn from nothing.
with_gradients = each_of([c for c in CASES if c[1] != "all" or c[0] == BOXES], FAST[:1])


class Step(NamedTuple):
    """A step in a graph of its own, and the values that its variables begin with."""

    graph: tf.Graph
    inputs: list
    y: tf.Tensor
    weights: Recurrent
    modules: list
    cost: tf.Tensor
    train: tf.Operation
    w: dict
    their: list

    @property
    def variables(self):
        return [*self.weights[1:], *(module.w_sg for module in self.modules)]

    @property
    def expected(self):
        """The variables, by NumPy."""
        w = self.w
        return [w["w_x"], w["w_rec"], w["w_fc"][:, None], *(each["w_sg"] for each in self.their)]

    @contextlib.contextmanager
    def session(self, threads=1):
        config = tf.ConfigProto(inter_op_parallelism_threads=threads, use_per_session_threads=True)
        with self.graph.as_default(), tf.Session(config=config) as session:
            pairs = zip(self.variables, self.expected, strict=True)
            feed = {variable.initial_value: value for variable, value in pairs}
            session.run([variable.initializer for variable in self.variables], feed)
            yield session

    def feed(self, inputs, y):
        boxes = zip(self.inputs, inputs, strict=True)
        return {x: value[None] for x, value in boxes if value is not None} | {self.y: [[y]]}

    def check(self, session):
        for value, expected in zip(session.run(self.variables), self.expected, strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-9)


def variable(shape, dtype=tf.float64):
    return tf.Variable(tf.zeros(shape, dtype), use_resource=True)


def build(window, lacking, of, blank=()):
    """A step with random weights; boxes whose number is in `blank` see nothing."""
    random = np.random.RandomState(1)
    label, alone = LABELS[of]
    rows = (0 if alone else WIDTH) + (2 if label else 0)
    windows = -(-BOXES // window)
    count = windows - {"none": 0, "last": 1, "all": windows}[lacking]
    w = {
        name: random.standard_normal(shape)
        for name, shape in {
            "h_0": WIDTH, "w_x": (PIXELS, WIDTH), "w_rec": (WIDTH, WIDTH), "w_fc": WIDTH,
        }.items()
    }  # fmt: skip
    their = [
        {"w_sg": random.standard_normal((rows, WIDTH)), "label": label, "alone": alone}
        for _ in range(count)
    ]
    graph = tf.Graph()
    with graph.as_default():
        inputs = [
            None if k in blank else tf.placeholder(tf.float64, [1, PIXELS])
            for k in range(1, BOXES + 1)
        ]
        y = tf.placeholder(tf.float64, [1, 1])
        shapes = (PIXELS, WIDTH), (WIDTH, WIDTH), (WIDTH, 1)
        weights = Recurrent(tf.constant(w["h_0"][None]), *map(variable, shapes))
        modules = [Module(variable((rows, WIDTH)), label, alone) for _ in range(count)]
        readout, train = windows_manual(inputs, y, weights, modules, RATES, window=window)
        cost = cost_function(readout.a, y)
    return Step(graph, inputs, y, weights, modules, cost, train, w, their)


def examples(number, blank=()):
    random = np.random.RandomState(2)
    for y in (1, 0, 0, 1)[:number]:
        xs = random.standard_normal((BOXES, PIXELS))
        yield [None if k in blank else x for k, x in enumerate(xs, 1)], y


def check_against_numpy(step, window, threads, blank=()):
    w, their = copy.deepcopy((step.w, step.their))
    with step.session(threads) as session:
        for inputs, y in examples(4, blank):
            cost, _ = session.run([step.cost, step.train], step.feed(inputs, y))
            expected = numpy_windows.step(inputs, y, w, their, RATES, window)
            np.testing.assert_allclose(cost, expected, rtol=1e-10)
            step._replace(w=w, their=their).check(session)


@each_case
def test_steps_equal_numpy(window, lacking, of):
    check_against_numpy(build(window, lacking, of), window, 8)


@pytest.mark.slow
@each_of(CASES, CASES)
def test_steps_equal_numpy_with_one_thread(window, lacking, of):
    check_against_numpy(build(window, lacking, of), window, 1)


@pytest.mark.parametrize(
    "window", [pytest.param(k, marks=() if k == 2 else pytest.mark.slow) for k in WINDOWS]
)
@pytest.mark.parametrize(
    "blank", [{2, 3, 4, 5, 6}, pytest.param({2, 3}, marks=pytest.mark.slow)], ids=str
)
def test_a_box_may_see_nothing(window, blank):
    check_against_numpy(build(window, "last", "state+label", blank), window, 1, blank)


@each_case
def test_every_read_and_write_is_ordered(window, lacking, of):
    step = build(window, lacking, of)
    fetched = [step.cost.op, step.train]
    assert unordered(fetched) == []
    touched, _ = accesses(fetched)
    assert len(touched) == 3 + len(step.modules)


@pytest.mark.slow
@each_of(CASES, CASES)
def test_every_read_and_write_that_is_executed_is_ordered(window, lacking, of):
    step = build(window, lacking, of)
    with step.session() as session:
        ((inputs, y),) = examples(1)
        operations = executed(session, [step.cost, step.train], step.feed(inputs, y))
        assert unordered(operations) == []
        assert len(accesses(operations)[0]) == 3 + len(step.modules)


def test_each_control_dependency_is_needed(monkeypatch):
    """Without it, something is unordered."""
    control_dependencies = tf.control_dependencies
    dropped, seen = None, set()

    def without_the_dropped(operations):
        caller = sys._getframe(1)
        place = Path(caller.f_code.co_filename).name, caller.f_lineno
        if place[0] == "windows.py":
            seen.update((*place, i) for i in range(len(operations)))
        return control_dependencies(
            [op for i, op in enumerate(operations) if (*place, i) != dropped]
        )

    monkeypatch.setattr(tf, "control_dependencies", without_the_dropped)

    def any_unordered():
        step = build(2, "none", "state")
        return unordered([step.cost.op, step.train])

    assert not any_unordered()
    places = sorted(seen)
    assert len(places) == 3
    for dropped in places:
        assert any_unordered(), dropped


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float64, 1e-12), (tf.float32, 1e-5)])
@pytest.mark.parametrize("label", [0.0, 4.0])
def test_two_boxes_that_see_the_image_are_ordered_manual(label, dtype, tolerance):
    width, steps = 8, 600
    rates = Rates(lr_x=0.05, lr_rec=0.05, lr_sg=0.01)
    random = np.random.RandomState(3)
    images, labels = random.standard_normal((steps, width)), random.randint(2, size=(steps, 1))
    with tf.Graph().as_default():
        x, y = tf.placeholder(dtype, [1, width]), tf.placeholder(dtype, [1, 1])
        trained, updates = [], []
        for ours in (False, True):
            w = declare_weights(width, dtype, width + (2 if label else 0))
            modules = Module(w.w_sg_1, label), Module(w.w_sg_2, label)
            if ours:
                recurrent = Recurrent(read_hidden_state(w, 0), w.w_x, w.w_rec, w.w_fc)
                _, train = windows_manual([x, x], y, recurrent, modules, rates, window=1)
            else:
                _, train = ordered_manual(x, y, w, modules, rates, connected=True, ascend=False)
            trained.append(w)
            updates.append(train)
        with tf.Session() as session:
            draw = {name: random.standard_normal(v.shape) for name, v in w._asdict().items()}
            for w in trained:
                feed = {v.initial_value: draw[name] for name, v in w._asdict().items()}
                session.run([v.initializer for v in w], feed)
            for image, number in zip(images, labels, strict=True):
                session.run(updates, {x: image[None], y: number[None]})
            theirs, ours = (session.run(w._asdict()) for w in trained)
    for name in ("w_x", "w_rec", "w_fc", "w_sg_1", "w_sg_2"):
        scale = np.abs(theirs[name]).max()
        assert np.abs(theirs[name] - draw[name]).max() > 0.01, name
        assert np.abs(ours[name] - theirs[name]).max() < tolerance * scale, name


def test_one_window_is_back_propagation_through_time():
    step = build(BOXES, "all", "state")
    ((inputs, y),) = examples(1)
    with step.graph.as_default():
        cost = cost_function(readout_of(step.inputs, step.weights).a, step.y)
        automatic = tf.gradients(cost, list(step.weights[1:]))
    with step.session() as session:
        before = session.run(step.variables)
        expected = session.run(automatic, step.feed(inputs, y))
        session.run(step.train, step.feed(inputs, y))
        after = session.run(step.variables)
    lr = RATES.lr_rec, RATES.lr_rec, RATES.lr_x
    for old, new, gradient, rate in zip(before, after, expected, lr, strict=True):
        np.testing.assert_allclose((old - new) / rate, gradient, rtol=1e-9)


@with_gradients
def test_what_each_box_learns_from(window, lacking, of):
    step = build(window, lacking, of)
    pairs = list(examples(3))
    images = [np.array(xs) for xs in zip(*(inputs for inputs, _ in pairs), strict=True)]
    with step.graph.as_default():
        labels = tf.constant([[float(y)] for _, y in pairs], tf.float64)
        arguments = list(map(tf.constant, images)), labels, step.weights
        computed = gradients(*arguments, step.modules, window=window)
        true = gradients(*arguments, (), window=BOXES)
    with step.session() as session:
        computed, true = session.run([computed, true])
    for n, (inputs, y) in enumerate(pairs):
        for each, modules, size in ((computed, step.their, window), (true, [], BOXES)):
            expected = numpy_windows.gradients(inputs, y, step.w, modules, size)
            np.testing.assert_allclose([g[n] for g in each], expected, rtol=1e-9)


@pytest.mark.slow
def test_a_compiled_loop_takes_the_same_steps():
    window = 2
    step = build(window, "last", "state+label")
    pairs = list(examples(4))
    images = np.array([np.concatenate(inputs) for inputs, _ in pairs])
    labels = np.array([[float(y)] for _, y in pairs])
    with step.graph.as_default():

        def one(x, y):
            boxes = tf.split(x, BOXES, 1)
            readout, train = windows_manual(
                boxes, y, step.weights, step.modules, RATES, window=window
            )
            return [tf.reshape(cost_function(readout.a, y), [1, 1])], train

        data = tf.constant(images), tf.constant(labels)
        (epoch,) = loop_over_rows(one, data, columns=[1], compiled=True)
    with step.session() as session:
        costs = session.run(epoch)
        expected = [numpy_windows.step(xs, y, step.w, step.their, RATES, window) for xs, y in pairs]
        np.testing.assert_allclose(costs[:, 0], expected, rtol=1e-10)
        step.check(session)


def test_another_number_of_modules_is_refused():
    with pytest.raises(ValueError, match="1 modules for 3 windows"):
        windows_manual([None] * 6, None, None, [None], RATES, window=2)
