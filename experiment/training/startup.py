"""Settings that have to be made before NumPy, Matplotlib and TensorFlow are imported."""

import logging
import os
import sys
import tempfile


def fix_rounding() -> None:
    """Makes the same flags give the same bytes. To be called before NumPy is imported."""
    # NumPy's threads would add in another order.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # Without oneDNN, TensorFlow rounds alike in every loop, and nearer to TensorFlow 1.5.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    # Each Session gets its own number of threads. By default the first user of threads, which may
    # be the compiler, sets the number for the whole process.
    os.environ["TF_OVERRIDE_GLOBAL_THREADPOOL"] = "1"


def silence_matplotlib() -> None:
    """Silences Matplotlib's warning about a home folder that cannot be written.

    To be called before Matplotlib is imported.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def import_tensorflow() -> None:
    """Imports TensorFlow silently; shows its messages if the import fails.

    The C++ runtime writes messages before its log level is in force, so standard error is
    redirected during the import.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            import tensorflow.compat.v1 as tf
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if isinstance(sys.exc_info()[1], Exception):
                messages.seek(0)
                sys.stderr.write(messages.read().decode(errors="replace"))
    tf.logging.set_verbosity(tf.logging.ERROR)
