"""How a run gets its memory from the system."""

import ctypes
import os

M_MMAP_THRESHOLD = -3  # of glibc's mallopt
LARGE = 2**20  # bytes


def spare() -> None:
    """Keeps what a run takes close to what it needs; to be called before TensorFlow is imported.

    What is large (initial values, the buffers of a checkpoint) goes back to the system when it is
    free. By default glibc keeps it after a while, and for each thread apart. The outer products
    that a step needs for a moment would suffer from that; they come from a pool of TensorFlow's
    own, which its threads share.
    """
    os.environ["TF_CPU_ALLOCATOR_USE_BFC"] = "true"
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # There is none without glibc.
        mallopt(M_MMAP_THRESHOLD, LARGE)
