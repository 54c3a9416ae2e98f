"""Training steps in NumPy, written from the equations of docs/experiment.md.

A step takes the weights as a dict of arrays, by the post's names, changes them in place and returns
the cost. The step of `ordered` and `connected` is `numpy_version`'s.
"""

import dataclasses

import numpy as np

from numpy_version import decoupled_rnn


def sigma(z):
    return 1 / (1 + np.exp(-z))


def published_forward(x, w):
    h_0, h_1, h_2 = w["hidden_states"].T.copy()
    a_1 = np.tanh(x @ w["w_x"] + h_0 @ w["w_rec"])
    a_2 = np.tanh(x @ w["w_x"] + h_1 @ w["w_rec"])
    p = sigma(h_2 @ w["w_fc"][:, 0])
    return h_0, h_1, h_2, a_1, a_2, p


def ordered_forward(x, w):
    h_0 = w["hidden_states"][:, 0].copy()
    a_1 = np.tanh(x @ w["w_x"] + h_0 @ w["w_rec"])
    a_2 = np.tanh(x @ w["w_x"] + a_1 @ w["w_rec"])
    p = sigma(a_2 @ w["w_fc"][:, 0])
    return h_0, a_1, a_2, a_1, a_2, p


def forward(settings, x, w):
    return (published_forward if settings.wiring == "published" else ordered_forward)(x, w)


def write(w, a_1, a_2):
    w["hidden_states"][:, 1], w["hidden_states"][:, 2] = a_1, a_2


def published_manual(settings, x, y, w):
    h_0, h_1, h_2, a_1, a_2, p = published_forward(x, w)
    sign = {"ascend": 1, "descend": -1}[settings.synthetic_step]
    d = (p - y) * p * (1 - p)
    g_1, g_2 = a_1 @ w["w_sg_1"], a_2 @ w["w_sg_2"]
    u, v = g_1 * (1 - a_1**2), g_2 * (1 - a_2**2)
    t_1, t_2 = w["w_rec"] @ v, d * w["w_fc"][:, 0]
    w["w_rec"] += sign * settings.lr_rec * (np.outer(h_0, u) + np.outer(h_1, v))
    w["w_x"] += sign * settings.lr_rec * np.outer(x, u + v)
    w["w_sg_1"] -= settings.lr_sg * np.outer(h_1, g_1 - t_1)
    w["w_sg_2"] -= settings.lr_sg * np.outer(h_2, g_2 - t_2)
    w["w_fc"][:, 0] -= settings.lr_x * h_2 * d
    write(w, a_1, a_2)
    return (p - y) ** 2 / 2


def ordered_manual(settings, x, y, w):
    _, _, _, a_1, _, _ = ordered_forward(x, w)
    sign = {"ascend": 1, "descend": -1}[settings.synthetic_step]
    weights = decoupled_rnn.Weights(
        w["hidden_states"][:, 0], w["w_x"], w["w_rec"], w["w_fc"][:, 0], w["w_sg_1"], w["w_sg_2"]
    )
    rates = decoupled_rnn.Rates(settings.lr_x, sign * settings.lr_rec, settings.lr_sg)
    before = {name: value.copy() for name, value in w.items()}
    cost = decoupled_rnn.step(x, y, weights, rates, "outer")
    # a₂ comes from the weights of step 2.
    g_1 = a_1 @ before["w_sg_1"]
    u = g_1 * (1 - a_1**2)
    w_x = before["w_x"] + sign * settings.lr_rec * np.outer(x, u)
    w_rec = before["w_rec"] + sign * settings.lr_rec * np.outer(before["hidden_states"][:, 0], u)
    write(w, a_1, np.tanh(x @ w_x + a_1 @ w_rec))
    return cost


def module(settings, number, a, y, w):
    """The input of a module of synthetic gradients, and ĝ."""
    label = settings.label_scale * np.array([1 - y, y]) if "label" in settings.module_input else []
    s = np.concatenate([[] if settings.module_input == "label" else a, label])
    return s, s @ w[f"w_sg_{number}"]


def learn(settings, number, s, g, t, w):
    w[f"w_sg_{number}"] -= settings.lr_sg * np.outer(s, g - t)


def ordered_manual_with_the_label(settings, x, y, w):
    """`ordered_manual` with modules whose input includes the label."""
    lr_rec = {"ascend": 1, "descend": -1}[settings.synthetic_step] * settings.lr_rec
    h_0 = w["hidden_states"][:, 0].copy()
    a_1 = np.tanh(x @ w["w_x"] + h_0 @ w["w_rec"])
    s_1, g_1 = module(settings, 1, a_1, y, w)
    u = g_1 * (1 - a_1**2)
    w["w_rec"] += lr_rec * np.outer(h_0, u)
    w["w_x"] += lr_rec * np.outer(x, u)
    a_2 = np.tanh(x @ w["w_x"] + a_1 @ w["w_rec"])
    s_2, g_2 = module(settings, 2, a_2, y, w)
    v = g_2 * (1 - a_2**2)
    w["w_rec"] += lr_rec * np.outer(a_1, v)
    w["w_x"] += lr_rec * np.outer(x, v)
    learn(settings, 1, s_1, g_1, w["w_rec"] @ v, w)
    p = sigma(a_2 @ w["w_fc"][:, 0])
    d = (p - y) * p * (1 - p)
    w["w_fc"][:, 0] -= settings.lr_x * a_2 * d
    learn(settings, 2, s_2, g_2, d * w["w_fc"][:, 0], w)
    write(w, a_1, a_2)
    return (p - y) ** 2 / 2


def feedback(settings, width):
    random = np.random.RandomState((settings.seed, 1))
    return (random.standard_normal((2, width)) * (0.95 * 0.2)).astype(np.float32)


def box_gradients(settings, x, y, w):
    """g₁ and g₂ from their sources, u, v, t₁, t₂, and the inputs of the modules."""
    _, a_1, a_2, _, _, p = ordered_forward(x, w)
    d = (p - y) * p * (1 - p)
    b_1, b_2 = feedback(settings, len(x))
    t_2 = d * w["w_fc"][:, 0]
    s_2, synthetic_2 = module(settings, 2, a_2, y, w)
    g_2 = {"synthetic": synthetic_2, "true": t_2, "zero": 0 * t_2, "random": d * b_2}
    g_2 = g_2[settings.gradient_2]
    v = g_2 * (1 - a_2**2)
    t_1 = w["w_rec"] @ v
    s_1, synthetic_1 = module(settings, 1, a_1, y, w)
    g_1 = {"synthetic": synthetic_1, "true": t_1, "zero": 0 * t_1, "random": d * b_1}
    g_1 = g_1[settings.gradient_1]
    u = g_1 * (1 - a_1**2)
    return g_1, g_2, u, v, t_1, t_2, s_1, s_2


def mixed_manual(settings, x, y, w):
    g_1, g_2, u, v, t_1, t_2, s_1, s_2 = box_gradients(settings, x, y, w)
    h_0, _, h_2, a_1, a_2, p = ordered_forward(x, w)
    t_0 = w["w_rec"] @ u
    w["w_fc"][:, 0] -= settings.lr_x * h_2 * (p - y) * p * (1 - p)
    w["w_x"] -= settings.lr_rec * np.outer(x, u + v)
    w["w_rec"] -= settings.lr_rec * (np.outer(h_0, u) + np.outer(a_1, v))
    if settings.gradient_1 == "true":
        w["hidden_states"][:, 0] -= settings.lr_rec * t_0
    if settings.gradient_1 == "synthetic":
        learn(settings, 1, s_1, g_1, t_1, w)
    if settings.gradient_2 == "synthetic":
        learn(settings, 2, s_2, g_2, t_2, w)
    write(w, a_1, a_2)
    return (p - y) ** 2 / 2


def auto(settings, x, y, w):
    """`published` and `ordered`: only the readout and h₂ get a gradient."""
    _, _, h_2, a_1, a_2, p = forward(settings, x, w)
    d = (p - y) * p * (1 - p)
    write(w, a_1, a_2 - settings.lr_auto * d * w["w_fc"][:, 0])
    w["w_fc"][:, 0] -= settings.lr_auto * h_2 * d
    return (p - y) ** 2 / 2


def through_time(x, y, w, lr_fc, lr_rest):
    """Gradient descent with the true gradients of the `connected` wiring."""
    h_0, _, _, a_1, a_2, p = ordered_forward(x, w)
    d = (p - y) * p * (1 - p)
    t_2 = d * w["w_fc"][:, 0]
    v = t_2 * (1 - a_2**2)
    t_1 = w["w_rec"] @ v
    u = t_1 * (1 - a_1**2)
    t_0 = w["w_rec"] @ u
    w["w_fc"][:, 0] -= lr_fc * a_2 * d
    w["w_x"] -= lr_rest * np.outer(x, u + v)
    w["w_rec"] -= lr_rest * (np.outer(h_0, u) + np.outer(a_1, v))
    w["hidden_states"][:, 0] -= lr_rest * t_0
    write(w, a_1, a_2)
    return (p - y) ** 2 / 2


def step(settings, x, y, w):
    if settings.mode == "auto":
        if settings.wiring == "connected":
            return through_time(x, y, w, settings.lr_auto, settings.lr_auto)
        return auto(settings, x, y, w)
    if settings.wiring == "published":
        return published_manual(settings, x, y, w)
    if (settings.gradient_1, settings.gradient_2) != ("synthetic", "synthetic"):
        return mixed_manual(settings, x, y, w)
    if settings.module_input == "state":
        return ordered_manual(settings, x, y, w)
    return ordered_manual_with_the_label(settings, x, y, w)


def predict(settings, images, w):
    """p for each image in turn, hidden states going on."""
    ps = []
    for x in images:
        *_, a_1, a_2, p = forward(settings, x, w)
        write(w, a_1, a_2)
        ps.append(p)
    return np.array(ps)


def cosine(a, b):
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return np.sum(a * b) / lengths if lengths else 0.0


def epoch_with_quality(settings, images, labels, w):
    """Trains on each image; the costs, and the figures of graph/quality.py."""
    true = dataclasses.replace(settings, gradient_1="true", gradient_2="true")
    costs, gradients, updates = [], [], np.zeros((4, len(images[0]), len(images[0])))
    for x, y in zip(images, labels, strict=True):
        g_1, g_2, u, v, *_ = box_gradients(settings, x, y, w)
        t_1, t_2, true_u, true_v, *_ = box_gradients(true, x, y, w)
        gradients.append((g_1, g_2, t_1, t_2))
        updates += [np.outer(x, each) for each in (u, true_u, v, true_v)]
        costs.append(step(settings, x, y, w))
    g_1, g_2, t_1, t_2 = map(np.array, zip(*gradients, strict=True))
    errors = [np.linalg.norm(g - t) / np.linalg.norm(t) for g, t in ((g_1, t_1), (g_2, t_2))]
    cosines = cosine(g_1, t_1), cosine(g_2, t_2)
    return costs, (*cosines, *errors, cosine(*updates[:2]), cosine(*updates[2:]))
