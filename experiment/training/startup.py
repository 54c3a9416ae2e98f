"""What has to be done before NumPy, Matplotlib and TensorFlow are imported, and how they are."""

import logging
import os
import sys
import tempfile


def fix_rounding() -> None:
    """Makes the same flags give the same bytes; to be called before NumPy is imported."""
    # NumPy's own threads would sum up in another order.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # TensorFlow without oneDNN rounds alike in every loop, and more as TensorFlow 1.5 did.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    # Each Session has threads of its own, as many as it asks for. By default the first that needs
    # any, be it the compiler, makes those of the whole process.
    os.environ["TF_OVERRIDE_GLOBAL_THREADPOOL"] = "1"


def silence_matplotlib() -> None:
    """Makes Matplotlib say nothing where it cannot write to the home folder; it draws the same.

    To be called before it is imported.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def import_tensorflow() -> None:
    """Imports TensorFlow, CPU only, silently; what it said is shown if the import fails.

    Some messages are written by the C++ runtime before its own log level is in force, so standard
    error itself is turned aside while the import runs. The level then holds for the rest.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow.compat.v1 as tf
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if isinstance(sys.exc_info()[1], Exception):
                said.seek(0)
                sys.stderr.write(said.read().decode(errors="replace"))
    tf.logging.set_verbosity(tf.logging.ERROR)
