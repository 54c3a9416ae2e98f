"""Imports TensorFlow without its start-up chatter."""

import os
import sys
import tempfile


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
