"""A training step of T time boxes in windows of K, in NumPy, written from the equations alone.

Boxes are numbered from 1, as the equations number them. Modules are dicts: "w_sg" [inputs, H],
"label" and "alone" as in graph/modules.py.
"""

import numpy as np


def module_of(module, a, y):
    """s and ĝ of a module whose box computed a."""
    label = module["label"] * np.array([1 - y, y]) if module["label"] else []
    s = np.concatenate([[] if module["alone"] else a, label])
    return s, s @ module["w_sg"]


def readout_of(h, y, w_fc):
    p = 1 / (1 + np.exp(-h @ w_fc))
    return (p - y) ** 2 / 2, (p - y) * p * (1 - p)


def forward(inputs, w, first, a):
    """aₖ from box `first` on, added to a, {k: aₖ}."""
    for k, x in enumerate(inputs, first):
        from_x = 0 if x is None else x @ w["w_x"]
        a[k] = np.tanh(from_x + a[k - 1] @ w["w_rec"])


def step(inputs, y, w, modules, rates, window):
    """Changes w, whose w_fc is [H], and the modules, in place; returns the cost."""
    total, a, taught_later = len(inputs), {0: w["h_0"]}, None
    for number, first in enumerate(range(1, total + 1, window)):
        boxes = range(first, min(first + window, total + 1))
        forward([inputs[k - 1] for k in boxes], w, first, a)
        is_last, has_module = boxes[-1] == total, number < len(modules)
        if is_last:
            cost, d = readout_of(a[total], y, w["w_fc"])
        if has_module:
            s, g = module_of(modules[number], a[boxes[-1]], y)
            teach = modules[number], s, g
        elif is_last:
            g, teach = d * w["w_fc"], None
        else:
            continue
        u = {}
        for k in reversed(boxes):
            u[k] = g * (1 - a[k] ** 2)
            g = w["w_rec"] @ u[k]
        for k in boxes:
            w["w_rec"] -= rates.lr_rec * np.outer(a[k - 1], u[k])
            if inputs[k - 1] is not None:
                w["w_x"] -= rates.lr_rec * np.outer(inputs[k - 1], u[k])
        if taught_later:
            learn(*taught_later, w["w_rec"] @ u[first], rates)
        taught_later = teach
    w["w_fc"] -= rates.lr_x * a[total] * d
    if taught_later:
        learn(*taught_later, d * w["w_fc"], rates)
    return cost


def learn(module, s, g, t, rates):
    module["w_sg"] -= rates.lr_sg * np.outer(s, g - t)


def gradients(inputs, y, w, modules, window):
    """The gradient that each box learns from, by box, at the present weights."""
    total, a, gradients = len(inputs), {0: w["h_0"]}, {}
    forward(inputs, w, 1, a)
    _, d = readout_of(a[total], y, w["w_fc"])
    for k in range(total, 0, -1):
        number = (k - 1) // window
        if k < total and k % window:
            gradients[k] = w["w_rec"] @ (gradients[k + 1] * (1 - a[k + 1] ** 2))
        elif number < len(modules):
            gradients[k] = module_of(modules[number], a[k], y)[1]
        else:
            gradients[k] = d * w["w_fc"]
    return [gradients[k] for k in range(1, total + 1)]
