"""The published manual step in PyTorch, PyTorch compiled, and JAX.

Each runs in a process of its own, since two frameworks in one process disturb each other's threads:
`python peers.py NAME FILE`, in an environment of its own, of which this file needs NumPy and the
peer. For each line on standard input the process trains for an epoch and prints the cost.

In all of them the matrices are changed in place, and vectors have one dimension. Equations:
docs/experiment.md §3, `published`, manual.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PYTHON = Path(__file__).parent.parent / ".venv" / "peers" / "bin" / "python"

Arrays = Mapping[str, npt.NDArray[np.float32]]
Epoch = Callable[[], float]


def pytorch(
    data: Arrays, lr_x: float, lr_rec: float, lr_sg: float, *, compiled: bool, threads: int
) -> Epoch:
    """An epoch of PyTorch.

    Args:
        data: `images` [n, width], `labels` [n], and the initial values of the post's variables.
        lr_x: the learning rate of w_fc.
        lr_rec: of w_rec and w_x.
        lr_sg: of w_sg_1 and w_sg_2.
        compiled: whether `torch.compile` compiles the step.
        threads: inside an operation.
    """
    import torch

    torch.set_num_threads(threads)
    tensors = {name: torch.from_numpy(value.copy()) for name, value in data.items()}
    w_x, w_rec, w_sg_1, w_sg_2 = (tensors[name] for name in ("w_x", "w_rec", "w_sg_1", "w_sg_2"))
    w_fc = tensors["w_fc"][:, 0].clone()
    h_0, *h = tensors["hidden_states"].T.contiguous()

    def step(x: Any, y: Any, h_1: Any, h_2: Any) -> Any:
        x_w = x @ w_x
        a_1, a_2 = torch.tanh(x_w + h_0 @ w_rec), torch.tanh(x_w + h_1 @ w_rec)
        p = torch.sigmoid(h_2 @ w_fc)
        d = (p - y) * p * (1 - p)
        g_1, g_2 = a_1 @ w_sg_1, a_2 @ w_sg_2
        u, v = g_1 * (1 - a_1**2), g_2 * (1 - a_2**2)
        t_1, t_2 = w_rec @ v, d * w_fc
        w_rec.addr_(h_0, u, alpha=lr_rec).addr_(h_1, v, alpha=lr_rec)
        w_x.addr_(x, u + v, alpha=lr_rec)
        w_sg_1.addr_(h_1, g_1 - t_1, alpha=-lr_sg)
        w_sg_2.addr_(h_2, g_2 - t_2, alpha=-lr_sg)
        w_fc.sub_(lr_x * d * h_2)
        return (p - y) ** 2 / 2, a_1, a_2

    one = torch.compile(step) if compiled else step

    def epoch() -> float:
        costs = []
        with torch.no_grad():
            for x, y in zip(tensors["images"], tensors["labels"], strict=True):
                cost, *h[:] = one(x, y, *h)
                costs.append(cost)
        return float(np.sum([float(cost) for cost in costs]))

    return epoch


def jax(data: Arrays, lr_x: float, lr_rec: float, lr_sg: float) -> Epoch:
    """An epoch of JAX: `lax.scan`, the buffers donated; arguments as in `pytorch`."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    h_0, h_1, h_2 = jnp.asarray(data["hidden_states"].T)
    names = ("w_x", "w_rec", "w_sg_1", "w_sg_2")
    state = (
        h_1,
        h_2,
        jnp.asarray(data["w_fc"][:, 0]),
        *(jnp.asarray(data[name]) for name in names),
    )
    images, labels = jnp.asarray(data["images"]), jnp.asarray(data["labels"])

    def step(state: Any, image: Any) -> Any:
        h_1, h_2, w_fc, w_x, w_rec, w_sg_1, w_sg_2 = state
        x, y = image
        x_w = x @ w_x
        a_1, a_2 = jnp.tanh(x_w + h_0 @ w_rec), jnp.tanh(x_w + h_1 @ w_rec)
        p = jax.nn.sigmoid(h_2 @ w_fc)
        d = (p - y) * p * (1 - p)
        g_1, g_2 = a_1 @ w_sg_1, a_2 @ w_sg_2
        u, v = g_1 * (1 - a_1**2), g_2 * (1 - a_2**2)
        t_1, t_2 = w_rec @ v, d * w_fc
        return (
            a_1,
            a_2,
            w_fc - lr_x * d * h_2,
            w_x + lr_rec * jnp.outer(x, u + v),
            w_rec + lr_rec * (jnp.outer(h_0, u) + jnp.outer(h_1, v)),
            w_sg_1 - lr_sg * jnp.outer(h_1, g_1 - t_1),
            w_sg_2 - lr_sg * jnp.outer(h_2, g_2 - t_2),
        ), (p - y) ** 2 / 2

    scan = jax.jit(lambda state: lax.scan(step, state, (images, labels)), donate_argnums=0)

    def epoch() -> float:
        nonlocal state
        state, costs = scan(state)
        return float(np.sum(np.asarray(costs), dtype=np.float64))

    return epoch


# The best number of threads for PyTorch depends on the machine; JAX has no such setting.
PEERS: dict[str, Callable[..., Epoch]] = {
    "PyTorch": partial(pytorch, compiled=False, threads=1),
    "PyTorch, 2 threads": partial(pytorch, compiled=False, threads=2),
    "PyTorch, compiled": partial(pytorch, compiled=True, threads=1),
    "PyTorch, compiled, 2 threads": partial(pytorch, compiled=True, threads=2),
    "JAX": jax,
}


class Peer:
    """The process of a peer."""

    def __init__(
        self, name: str, data: Arrays, rates: tuple[float, float, float], recorded: list[float]
    ) -> None:
        """Starts it, and checks its costs against the recorded ones.

        Args:
            name: of the peer.
            data: as in `pytorch`.
            rates: lr_x, lr_rec and lr_sg.
            recorded: the costs of the first epochs.

        Raises:
            AssertionError: its costs differ.
        """
        with tempfile.NamedTemporaryFile(suffix=".npz") as file:
            np.savez(file, **{**data, "rates": np.array(rates)})  # type: ignore[arg-type]
            file.flush()
            self._process = subprocess.Popen(
                [PYTHON, __file__, name, file.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            costs = [self.epoch() for _ in recorded]
        np.testing.assert_allclose(costs, recorded, rtol=1e-5, err_msg=name)

    def epoch(self) -> float:
        """One epoch; its cost."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


def serve(name: str, file: str) -> None:
    """Trains for an epoch, and prints its cost, for each line on standard input."""
    data = dict(np.load(file))
    epoch = PEERS[name](data, *data.pop("rates").tolist())
    for _ in sys.stdin:
        print(epoch(), flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
