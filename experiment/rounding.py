"""What would decide how sums are rounded, if it were left open."""

import os


def fix_rounding() -> None:
    """Makes the same flags give the same bytes; to be called before NumPy is imported."""
    # NumPy's own threads would sum up in another order.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # TensorFlow without oneDNN rounds alike in every loop, and more as TensorFlow 1.5 did.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    # Each Session has threads of its own, as many as it asks for. By default the first that needs
    # any, be it the compiler, makes those of the whole process.
    os.environ["TF_OVERRIDE_GLOBAL_THREADPOOL"] = "1"
