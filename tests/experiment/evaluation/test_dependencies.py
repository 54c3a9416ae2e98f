"""The dependencies of each update, against an independent search of the graph and the equations."""

import dataclasses

import pytest

from experiment.evaluation import dependencies
from experiment.report import timeline
from experiment.settings import RESULTS
from tests.reference.access_order import WRITES, ancestors

SYNTHETIC, TRUE, AUTO = dependencies.WAYS
# By the equations of docs/experiment.md §3: the number of matrix products before each update, its
# own outer product included, and the longest chain among them. Forward: x·Wx and h·Wrec in each
# time box, h·Wfc.
EXPECTED = {
    SYNTHETIC: {
        # x·Wx, h₀·Wrec, a₁·Wsg1 and h₀ᵀu or xᵀu
        ("time box 1 learns", "w_rec"): (4, 3),
        ("time box 1 learns", "w_x"): (4, 3),
        # and both outer products of box 1, x·Wx, h₁·Wrec, a₂·Wsg2 and h₁ᵀv or xᵀv
        ("time box 2 learns", "w_rec"): (9, 6),
        ("time box 2 learns", "w_x"): (9, 6),
        # and, after Wrec, v·Wrecᵀ and a₁ᵀ(ĝ₁ − t₁)
        ("module 1 learns", "w_sg_1"): (11, 8),
        # after time box 2, h₂·Wfc and h₂ᵀd
        ("readout learns", "w_fc"): (9, 6),
        # and a₂·Wsg2, d·Wfcᵀ and a₂ᵀ(ĝ₂ − t₂)
        ("module 2 learns", "w_sg_2"): (12, 8),
    },
    TRUE: {
        # Five forward, d·Wfcᵀ, v·Wrecᵀ, u·Wrecᵀ, and h₂ᵀd or two outer products
        ("readout learns", "w_fc"): (9, 6),
        ("time boxes learn", "w_rec"): (10, 6),
        ("time boxes learn", "w_x"): (10, 6),
    },
    AUTO: {
        # Five forward, d·Wfcᵀ and h₂ᵀd, for `tf.gradients` ties the two gradients of a product
        ("readout learns", "w_fc"): (7, 4),
        # and v·Wrecᵀ with h₁ᵀv, and u·Wrecᵀ with h₀ᵀu, or xᵀv and xᵀu
        ("time boxes learn", "w_rec"): (11, 6),
        ("time boxes learn", "w_x"): (11, 6),
    },
}
TOTALS = {SYNTHETIC: 16, TRUE: 13, AUTO: 13}


@pytest.fixture(scope="module")
def steps():
    """A step of each way, and of the first in the wiring `ordered`."""
    settings, boxes = dependencies.WAYS[SYNTHETIC]
    ordered = dataclasses.replace(settings, wiring="ordered"), boxes
    return dependencies.trace(dependencies.WAYS | {"ordered": ordered}, 1)


def updates_of(way, steps):
    """The updates of a way, with the operations before each by another search."""
    operations = steps[way].operations
    boxes = dependencies.WAYS[SYNTHETIC if way == "ordered" else way][1]
    by_name, known = {operation.name: operation for operation in operations}, {}
    return [
        (update, by_name[update.name], ancestors(by_name[update.name], known))
        for update in dependencies.updates(operations, boxes)
    ]


@pytest.mark.parametrize("way", EXPECTED)
def test_as_many_products_come_first_as_the_equations_have(way, steps):
    updates = [update for update, _, _ in updates_of(way, steps)]
    numbers = {(update.box, update.weight): (update.products, update.chain) for update in updates}
    assert numbers == EXPECTED[way]
    assert {update.total for update in updates} == {TOTALS[way]}


@pytest.mark.parametrize("way", dependencies.WAYS)
def test_an_independent_search_finds_the_same_products(way, steps):
    updates = updates_of(way, steps)
    for update, operation, before in updates:
        assert operation.type in WRITES
        assert operation.inputs[0].op.name == f"weights/{update.weight}"
        assert update.products == sum(other.type == "MatMul" for other in before)
    written = [op.inputs[0].op.name for op in steps[way].operations if op.type in WRITES]
    weights = [name for name in written if name != "weights/hidden_states"]
    assert sorted(weights) == sorted(f"weights/{update.weight}" for update, _, _ in updates)


@pytest.mark.parametrize("way", ["ordered", SYNTHETIC])
def test_with_synthetic_gradients_time_box_1_waits_for_nothing_of_time_box_2(way, steps):
    first = [each for each in updates_of(way, steps) if each[0].box == "time box 1 learns"]
    assert [update.weight for update, _, _ in first] == ["w_rec", "w_x"]
    for update, _, before in first:
        assert update.after == ("time box 1",)
        products = [op.name for op in before if op.type == "MatMul"]
        assert not [name for name in products if "time_box_2" in name or "readout" in name]


@pytest.mark.parametrize("way", [TRUE, AUTO])
def test_otherwise_it_waits_for_all_of_time_box_2_and_the_readout(way, steps):
    products = [op for op in steps[way].operations if op.type == "MatMul"]
    forward = {op for op in products if op.name.startswith(("time_box_2/", "readout/"))}
    assert len(forward) == 3
    (learns_1, _, before_1), (learns_2, _, before_2) = updates_of(way, steps)[-2:]
    assert (learns_1.weight, learns_2.weight) == ("w_rec", "w_x")
    assert forward <= before_1 & before_2
    assert set(dependencies.BACK.values()) <= set(learns_1.after) & set(learns_2.after)


@pytest.mark.parametrize("way", dependencies.WAYS)
def test_the_tracer_agrees_with_the_graph(way, steps):
    times = steps[way].times
    for update, _, before in updates_of(way, steps):
        start, end = times[update.name]
        assert 0 < start < end
        assert max(times[op.name][1] for op in before if op.type == "MatMul") <= start


def test_the_published_timeline_is_of_this_graph(steps, monkeypatch):
    """All but the times."""
    monkeypatch.setattr(
        dependencies, "trace", lambda *_: {way: steps[way] for way in dependencies.WAYS}
    )
    table, rows = timeline.measure()
    assert table == (RESULTS / "timeline.md").read_text()
    times = {"start_ms": 0, "end_ms": 0}
    published = [row._replace(**times) for rows in timeline.read(RESULTS).values() for row in rows]
    assert {row._replace(**times) for row in rows} == set(published)


@pytest.mark.parametrize("way", dependencies.WAYS)
def test_a_box_that_an_update_waits_for_has_a_product_or_an_update_before_it(way, steps):
    _, boxes = dependencies.WAYS[way]
    for update, _, before in updates_of(way, steps):
        for box in set(boxes.values()) - {update.box}:
            inside = [op for op in before if dependencies.box_of(boxes, op) == box]
            waits = [op for op in inside if op.type in (WRITES if "learn" in box else {"MatMul"})]
            hidden = [op for op in waits if op.inputs[0].op.name == "weights/hidden_states"]
            assert (box in update.after) == (len(waits) > len(hidden)), (update.name, box)


def test_a_wait_in_a_few_words():
    def summary(*after):
        return dependencies.Update("", "", "", 0, 0, 0, after).summary()

    ahead, back = dependencies.FORWARD.values(), dependencies.BACK.values()
    assert summary("time box 1") == "box 1"
    assert summary("time box 1", "time box 1 learns", "time box 2") == "box 1 + update, box 2"
    assert summary(*ahead, *back) == "all boxes, there and back"
    assert summary(*ahead, "back through the readout") == "all boxes, back through the readout"


def test_a_merged_tanh_belongs_to_the_box_that_it_is_of(steps):
    _, boxes = dependencies.WAYS[TRUE]
    tanh = [op for op in steps[TRUE].operations if op.type == "Tanh"]
    assert {dependencies.box_of(boxes, op) for op in tanh} == {"time box 1", "time box 2"}
