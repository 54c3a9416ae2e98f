"""Training steps in NumPy, written from the specification's equations and nothing else.

`published` in both modes; `ordered` and `connected` where `numpy_version` has no answer. A step
takes the weights as a dict of arrays, the post's names, changes them in place and returns the cost.
"""

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
    """What goes into a module of synthetic gradients, and ĝ."""
    label = settings.label_scale * np.array([1 - y, y]) if settings.condition_on_label else []
    s = np.concatenate([[] if settings.label_alone else a, label])
    return s, s @ w[f"w_sg_{number}"]


def learn(settings, number, s, g, t, w):
    w[f"w_sg_{number}"] -= settings.lr_sg * np.outer(s, g - t)


def ordered_manual_with_the_label(settings, x, y, w):
    """`ordered_manual` with modules that are told the label."""
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


def box_1_decoupled(settings, x, y, w):
    lr_rec = {"ascend": 1, "descend": -1}[settings.synthetic_step] * settings.lr_rec
    h_0 = w["hidden_states"][:, 0].copy()
    a_1 = np.tanh(x @ w["w_x"] + h_0 @ w["w_rec"])
    s_1, g_1 = module(settings, 1, a_1, y, w)
    u = g_1 * (1 - a_1**2)
    w["w_rec"] += lr_rec * np.outer(h_0, u)
    w["w_x"] += lr_rec * np.outer(x, u)
    a_2 = np.tanh(x @ w["w_x"] + a_1 @ w["w_rec"])
    p = sigma(a_2 @ w["w_fc"][:, 0])
    d = (p - y) * p * (1 - p)
    v = d * w["w_fc"][:, 0] * (1 - a_2**2)
    t_1 = w["w_rec"] @ v
    w["w_fc"][:, 0] -= settings.lr_x * a_2 * d
    # These are true gradients: they are subtracted whatever is done with the others.
    w["w_rec"] -= settings.lr_rec * np.outer(a_1, v)
    w["w_x"] -= settings.lr_rec * np.outer(x, v)
    learn(settings, 1, s_1, g_1, t_1, w)
    write(w, a_1, a_2)
    return (p - y) ** 2 / 2


def box_2_decoupled(settings, x, y, w):
    lr_rec = {"ascend": 1, "descend": -1}[settings.synthetic_step] * settings.lr_rec
    h_0, a_1, a_2, _, _, p = ordered_forward(x, w)
    s_2, g_2 = module(settings, 2, a_2, y, w)
    v = g_2 * (1 - a_2**2)
    u = w["w_rec"] @ v * (1 - a_1**2)
    w["w_rec"] += lr_rec * (np.outer(h_0, u) + np.outer(a_1, v))
    w["w_x"] += lr_rec * np.outer(x, u + v)
    d = (p - y) * p * (1 - p)
    w["w_fc"][:, 0] -= settings.lr_x * a_2 * d
    learn(settings, 2, s_2, g_2, d * w["w_fc"][:, 0], w)
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
    if settings.decoupled == "none":
        return through_time(x, y, w, settings.lr_x, settings.lr_rec)
    if settings.mode == "auto":
        if settings.wiring == "connected":
            return through_time(x, y, w, settings.lr_auto, settings.lr_auto)
        return auto(settings, x, y, w)
    if settings.wiring == "published":
        return published_manual(settings, x, y, w)
    if settings.decoupled != "both":
        return {"1": box_1_decoupled, "2": box_2_decoupled}[settings.decoupled](settings, x, y, w)
    if settings.condition_on_label:
        return ordered_manual_with_the_label(settings, x, y, w)
    return ordered_manual(settings, x, y, w)


def predict(settings, images, w):
    """p for each image in turn, hidden states going on."""
    ps = []
    for x in images:
        *_, a_1, a_2, p = forward(settings, x, w)
        write(w, a_1, a_2)
        ps.append(p)
    return np.array(ps)


def synthetic_and_true(settings, x, y, w):
    """ĝ₁, t₁, ĝ₂, t₂ of one image: what the time boxes learn from, and the true gradients."""
    _, a_1, a_2, _, _, p = ordered_forward(x, w)
    t_2 = (p - y) * p * (1 - p) * w["w_fc"][:, 0]
    t_1 = w["w_rec"] @ (t_2 * (1 - a_2**2))
    _, g_2 = module(settings, 2, a_2, y, w)
    if settings.decoupled == "1":
        g_2 = t_2
    _, g_1 = module(settings, 1, a_1, y, w)
    if settings.decoupled == "2":
        g_1 = w["w_rec"] @ (g_2 * (1 - a_2**2))
    return g_1, t_1, g_2, t_2


def cosine(a, b):
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return np.sum(a * b) / lengths if lengths else 0.0


def quality(settings, images, labels, w):
    """The figures of graph/quality.py, image by image and summed up."""
    rows, updates = [], np.zeros((4, len(images[0]), len(images[0])))
    for x, y in zip(images, labels, strict=True):
        g_1, t_1, g_2, t_2 = synthetic_and_true(settings, x, y, w)
        rows.append((g_1, t_1, g_2, t_2))
        h_0, a_1, a_2, _, _, _ = ordered_forward(x, w)
        for at, (first, second) in enumerate([(g_1, g_2), (t_1, t_2)]):
            u, v = first * (1 - a_1**2), second * (1 - a_2**2)
            updates[at] += np.outer(x, u + v)
            updates[2 + at] += np.outer(h_0, u) + np.outer(a_1, v)
    g_1, t_1, g_2, t_2 = map(np.array, zip(*rows, strict=True))
    errors = [np.linalg.norm(g - t) / np.linalg.norm(t) for g, t in ((g_1, t_1), (g_2, t_2))]
    return cosine(g_1, t_1), cosine(g_2, t_2), *errors, cosine(*updates[:2]), cosine(*updates[2:])
