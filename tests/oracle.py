"""The `published` step in NumPy, written from the specification's equations and nothing else."""

import numpy as np


def sigma(z):
    return 1 / (1 + np.exp(-z))


def forward(x, w):
    h_0, h_1, h_2 = w["hidden_states"].T.copy()
    a_1 = np.tanh(x @ w["w_x"] + h_0 @ w["w_rec"])
    a_2 = np.tanh(x @ w["w_x"] + h_1 @ w["w_rec"])
    p = sigma(h_2 @ w["w_fc"][:, 0])
    return h_0, h_1, h_2, a_1, a_2, p


def manual_step(x, y, w, lr_x, lr_rec, lr_sg):
    """One step of manual mode, in place; returns the cost."""
    h_0, h_1, h_2, a_1, a_2, p = forward(x, w)
    d = (p - y) * p * (1 - p)
    g_1, g_2 = a_1 @ w["w_sg_1"], a_2 @ w["w_sg_2"]
    u, v = g_1 * (1 - a_1**2), g_2 * (1 - a_2**2)
    t_1, t_2 = w["w_rec"] @ v, d * w["w_fc"][:, 0]
    w["w_rec"] += lr_rec * (np.outer(h_0, u) + np.outer(h_1, v))
    w["w_x"] += lr_rec * np.outer(x, u + v)
    w["w_sg_1"] -= lr_sg * np.outer(h_1, g_1 - t_1)
    w["w_sg_2"] -= lr_sg * np.outer(h_2, g_2 - t_2)
    w["w_fc"][:, 0] -= lr_x * h_2 * d
    w["hidden_states"][:, 1], w["hidden_states"][:, 2] = a_1, a_2
    return (p - y) ** 2 / 2


def auto_step(x, y, w, lr_auto):
    """One step of auto mode, in place; returns the cost."""
    _, _, h_2, a_1, a_2, p = forward(x, w)
    d = (p - y) * p * (1 - p)
    w["hidden_states"][:, 1] = a_1
    w["hidden_states"][:, 2] = a_2 - lr_auto * d * w["w_fc"][:, 0]
    w["w_fc"][:, 0] -= lr_auto * h_2 * d
    return (p - y) ** 2 / 2


def step(settings, x, y, w):
    if settings.mode == "manual":
        return manual_step(x, y, w, settings.lr_x, settings.lr_rec, settings.lr_sg)
    return auto_step(x, y, w, settings.lr_auto)


def predict(images, w):
    """p for each image in turn, hidden states going on."""
    ps = []
    for x in images:
        *_, a_1, a_2, p = forward(x, w)
        w["hidden_states"][:, 1], w["hidden_states"][:, 2] = a_1, a_2
        ps.append(p)
    return np.array(ps)
