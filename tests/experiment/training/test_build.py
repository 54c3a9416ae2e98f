"""The graph of a run: its scopes are the post's boxes."""

import pytest

from tests.reference.step_cases import CASES, small_graph

BOXES = {"data", "weights", "time_box_1", "time_box_2", "readout", "cost"}


IN_TURN = {
    "time_box_1", "update_1", "time_box_2", "update_2", "update_synthetic_gradient_1", "readout",
    "update_readout", "update_synthetic_gradient_2",
}  # fmt: skip
# The scopes of back-propagation by hand: of each of its three steps.
BY_HAND = {
    "published": {
        "synthetic_gradient_1", "synthetic_gradient_2", "true_gradient_1", "true_gradient_2",
        "updates",
    },
    "ordered": IN_TURN,
    "mixed": {
        "readout", "time_box_2", "time_box_1", "time_box_1_1", "update_readout",
        "update_readout_1", "update_time_boxes", "update_time_boxes_1",
    },
}  # fmt: skip


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_every_operation_is_in_a_box(settings):
    operations = small_graph(settings).graph.get_operations()
    scopes = {tuple(op.name.split("/")[:-1]) for op in operations}
    boxes = BOXES | {"epoch", "prediction", "save"}
    if settings.wiring == "published":
        boxes |= {"w_x_and_w_rec", "write_hidden_states"}
    if settings.mode == "auto":
        boxes |= {"automatic_differentiation"}
    else:
        boxes |= {"manual_back_propagation"}
        step = "published" if settings.wiring == "published" else "ordered"
        sources = {settings.gradient_1, settings.gradient_2}
        if sources != {"synthetic"}:
            step = "mixed"
        by_hand = {
            scope[1] for scope in scopes if scope[0] == "manual_back_propagation" and scope[1:]
        }
        if "synthetic" in sources and step == "mixed":
            by_hand.remove("update_synthetic_gradients")
        assert by_hand == BY_HAND[step]
    assert {scope[0] for scope in scopes} == boxes
