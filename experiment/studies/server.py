"""A TensorFlow server: the Sessions of a study on other machines, or on this one, run on it."""

import os
import socket
import time
from pathlib import Path

from experiment.settings import UserError
from experiment.training.startup import import_tensorflow

EVERYWHERE = "0.0.0.0"


def serve(host: str, port: int) -> None:
    """Serves until a signal raises an exception; says when it is ready.

    Args:
        host: `EVERYWHERE`, or any other name for this machine alone.
        port: to listen on.

    Raises:
        UserError: the port is in use, or cannot be kept to this machine.
    """
    import_tensorflow()
    import tensorflow.compat.v1 as tf

    from experiment.training import session

    try:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except OSError as error:
        raise UserError(f"--serve={host}:{port} is not possible ({error.strerror})") from None
    # Until it is started it listens, but runs nothing.
    server = tf.train.Server(
        {"worker": [f"{host}:{port}"]}, config=session.configuration(), start=False
    )
    if host != EVERYWHERE:
        keep_to_this_machine(port)
    server.start()
    print(f"serving at {host}:{port}", flush=True)
    while True:
        time.sleep(1)  # signal.pause would sleep through a signal that came just before it


def keep_to_this_machine(port: int) -> None:
    """Binds what listens on a port, in this process, to the loopback interface.

    TensorFlow's server takes no more than the number of its port from its address, and listens on
    every interface; but the system can still bind its socket to one.

    Raises:
        UserError: the system cannot, or nothing listens.
    """
    bound = False
    try:
        for path in Path("/dev/fd").iterdir():
            if path.is_socket():
                with socket.socket(fileno=os.dup(int(path.name))) as found:
                    listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                    if listens and found.getsockname()[1] == port:
                        found.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
                        bound = True
    except (AttributeError, OSError):
        bound = False  # another system than Linux, or one older than 5.7
    if not bound:
        raise UserError(
            f"this system cannot keep --serve=:{port} to this machine, Linux since 5.7 can; "
            f"--serve={EVERYWHERE}:{port} opens it to every network"
        )
