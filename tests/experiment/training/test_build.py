"""The graph of a run: its scopes are the post's boxes."""

import pytest

from tests.reference.step_cases import CASES, small_graph

BOXES = {"data", "weights", "time_box_1", "time_box_2", "readout", "cost"}


IN_TURN = {
    "time_box_1", "update_1", "time_box_2", "update_2", "update_synthetic_gradient_1", "readout",
    "update_readout", "update_synthetic_gradient_2",
}  # fmt: skip
# The scopes of back-propagation by hand: of the wiring `published`, then by --decoupled.
BY_HAND = {
    "published": {
        "synthetic_gradient_1", "synthetic_gradient_2", "true_gradient_1", "true_gradient_2",
        "updates",
    },
    "both": IN_TURN,
    "1": IN_TURN - {"update_readout", "update_synthetic_gradient_1", "update_synthetic_gradient_2"}
    | {"true_gradients"},
    "2": IN_TURN - {"update_1", "update_2", "update_synthetic_gradient_1"}
    | {"synthetic_gradient_2", "update_1_and_2"},
    "none": {"readout", "time_box_2", "time_box_1", "update_readout", "update_time_boxes"},
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
        way = "published" if settings.wiring == "published" else settings.decoupled
        by_hand = {
            scope[1] for scope in scopes if scope[0] == "manual_back_propagation" and scope[1:]
        }
        assert by_hand == BY_HAND[way]
        boxes |= {"quality_of_synthetic_gradients"} if settings.decoupled != "none" else set()
    assert {scope[0] for scope in scopes} == boxes
