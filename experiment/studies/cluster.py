"""The runs of a study on the workers of a Dask: this machine's cores, or those of a scheduler."""

import contextlib
import faulthandler
import hashlib
import importlib.util
import logging
import os
import pickle
import signal
import socket
import sys
import uuid
from collections.abc import Generator, Iterator, Sequence
from importlib.metadata import version
from multiprocessing import resource_tracker
from typing import Any
from urllib.parse import urlsplit

import dask
import distributed
from distributed.scheduler import NoValidWorkerError, NoWorkerError
from tqdm import tqdm

from experiment.settings import PROJECT, Settings, UserError
from experiment.studies.definition import Job
from experiment.training import mnist
from experiment.training.outcome import NotFiniteError
from experiment.training.startup import fix_rounding, import_tensorflow

# For independent runs of seconds or minutes; Dask's own configuration goes before these.
DEFAULTS = {
    "scheduler": {
        "allowed-failures": 2,
        "no-workers-timeout": "300s",
        "worker-saturation": 1.0,
        "work-stealing": False,
    },
    "deploy": {"lost-worker-timeout": "300s"},  # One that starts anew on a slow machine is not.
    "worker": {"profile": {"enabled": False}},  # A sample every 10 ms is not free.
    "nanny": {
        "pre-spawn-environ": {
            "MALLOC_TRIM_THRESHOLD_": None,
            "DASK_LOGGING__DISTRIBUTED": "critical",  # Where one ends, it would tell of it.
        }
    },
}
CONNECT = 10  # seconds
GOES_ON = "and the same command goes on"
LOST = f"the scheduler is lost: start it again, {GOES_ON}"


def on_workers(
    jobs: Sequence[Job], data: mnist.Data, scheduler: str | None, *, dashboard: bool
) -> Generator[tuple[Job, dict[str, Any]]]:
    """Does each job, on all workers at a time, in no certain order, until it is closed.

    Args:
        jobs: what to do.
        data: that the runs use.
        scheduler: address of a Dask; without it, the workers are the cores of this machine.
        dashboard: whether to say where Dask's dashboard is.

    Yields:
        A job and the content of its metrics.json, as soon as it is done.

    Raises:
        UserError: a run failed, or there is nobody to do it.
    """
    if not jobs:
        return
    with _client(scheduler, dashboard=dashboard) as client:
        plugin = Plugin(data, [job.settings for job in jobs], local=scheduler is None)
        name = plugin.name

        def run(number: int) -> dict[str, Any]:
            # This function goes by value: the scheduler reads it, and may not have this project.
            from experiment.studies.cluster import measure

            return measure(name, number)

        try:
            _set_up(client, plugin)
            futures = {
                client.submit(run, number, pure=False, priority=-number): job
                for number, job in enumerate(jobs)
            }
            for future in distributed.as_completed(list(futures), loop=client.loop):
                yield futures[future], _result(future, futures[future])
        finally:
            if scheduler:
                # Where it is lost, so is the plugin.
                with contextlib.suppress(OSError, ValueError):
                    client.unregister_worker_plugin(name)


def _set_up(client: distributed.Client, plugin: "Plugin") -> None:
    """Gives the workers what they need, those that come later too. Raises UserErrors."""
    try:
        client.register_plugin(plugin, name=plugin.name)
    except (OSError, ImportError, AttributeError) as error:  # it died, or has no such project
        raise UserError(
            f"a worker cannot be set up ({error}): see docs/studies.md, {GOES_ON}"
        ) from None
    except ValueError as error:
        raise _lost(error) from None


def _lost(error: ValueError) -> Exception:
    """What to raise for it: Tornado's is of a connection that ends as it begins."""
    return UserError(LOST) if "IOStream" in str(error) else error


def _result(future: Any, job: Job) -> dict[str, Any]:
    """What a run measured, or a line that says why it did not."""
    run = f"{job.experiment}, --seed={job.settings.seed}"
    try:
        measured: dict[str, Any] = future.result()
    except UserError as error:
        raise UserError(f"{run}: {error}") from None
    except distributed.KilledWorker:
        raise UserError(f"{run}: every worker that began it died or hung") from None
    except (NoWorkerError, NoValidWorkerError):
        raise UserError(f"there is no worker: start one, {GOES_ON}") from None
    except (distributed.CancelledError, distributed.comm.CommClosedError):
        raise UserError(LOST) from None
    except ValueError as error:
        raise _lost(error) from None
    return measured


@contextlib.contextmanager
def _client(scheduler: str | None, *, dashboard: bool) -> Iterator[distributed.Client]:
    """A client of the scheduler, or of one of its own for this machine. Raises UserErrors."""
    if dashboard and importlib.util.find_spec("bokeh") is None:
        raise UserError("--dashboard needs the package bokeh: call make setup-look")
    dask.config.update_defaults({"distributed": DEFAULTS})
    for name in ("distributed", "distributed.client", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # SIGINT is for this thread: those that Dask begins, and their processes, keep it blocked.
    resource_tracker.ensure_running()  # which would let it through
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    with contextlib.ExitStack() as opened:
        try:
            security = _security(scheduler) if scheduler else None
            cluster = scheduler or opened.enter_context(
                distributed.LocalCluster(
                    threads_per_worker=1,
                    security=True,
                    memory_limit=None,
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": dashboard},
                    silence_logs=logging.CRITICAL,
                )
            )
            client = opened.enter_context(
                distributed.Client(
                    cluster, security=security, timeout=CONNECT, set_as_default=False
                )
            )
        except (OSError, RuntimeError, ValueError) as error:
            # A ValueError: a name that no host can have, or a connection that is cut off.
            asked = f"--scheduler={scheduler}" if scheduler else "this machine"
            raise UserError(
                f"{asked} does not take part ({error}): see docs/studies.md, {GOES_ON}"
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        if dashboard:
            tqdm.write(f"dashboard: {client.dashboard_link}", sys.stderr)
        yield client


def _security(scheduler: str) -> distributed.Security:
    """The certificates that Dask's configuration names, once it is seen that somebody answers."""
    url = urlsplit(scheduler)
    security = distributed.Security(require_encryption=url.scheme == "tls")
    if url.scheme == "tls" and security.get_connection_args("client")["ssl_context"] is None:
        raise UserError(
            f"--scheduler={scheduler} needs certificates: name them in Dask's configuration, "
            "distributed.comm.tls.ca-file, client.cert and client.key"
        )
    socket.create_connection((url.hostname, url.port), CONNECT).close()
    return security


class Plugin(distributed.WorkerPlugin):  # type: ignore[misc]
    """What a worker needs for the runs of one command.

    Attributes:
        name: under which the workers know it; no other command has it.
        data, settings: of the runs; there once a worker is set up.
    """

    data: mnist.Data
    settings: list[Settings]

    def __init__(self, data: mnist.Data, settings: list[Settings], *, local: bool) -> None:
        self.name = f"study-{uuid.uuid4().hex}"
        self._local = local
        self._versions = _versions()
        self._silence = dask.utils.parse_timedelta(
            dask.config.get("distributed.scheduler.worker-ttl")
        )
        # Packed: another NumPy, which is to be refused, may not be able to read them.
        self._packed = pickle.dumps((data, settings))

    def setup(self, worker: Any) -> None:
        """Makes a worker ready. Raises a UserError if it would round otherwise."""
        self.check(worker.address)
        fix_rounding()
        import_tensorflow()
        self.data, self.settings = pickle.loads(self._packed)

    def teardown(self, worker: Any) -> None:
        """Ends a worker of this command at once, in the middle of a run too."""
        if self._local:
            os._exit(0)

    def check(self, address: str) -> None:
        """Raises a UserError if the worker's numbers could be others than those of the client."""
        theirs = _versions()
        if other := [name for name, value in self._versions.items() if theirs[name] != value]:
            raise UserError(f"the worker {address} has another {other[0]} than this command")
        # By now NumPy is imported there.
        if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
            raise UserError(f"the worker {address} lacks OPENBLAS_NUM_THREADS=1 in its environment")

    def alive(self, *_: Any) -> None:
        """Ends the worker if it is not called again in time: Dask does the run once more."""
        faulthandler.dump_traceback_later(self._silence, exit=True)


def _versions() -> dict[str, str]:
    """What decides the numbers: the code, by its digest, and what it computes with."""
    digest = hashlib.sha256()
    for room in ("experiment", "graph"):
        for path in sorted((PROJECT / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return {
        "code": digest.hexdigest(),
        "NumPy": version("numpy"),
        "TensorFlow": version("tensorflow"),
    }


def measure(name: str, number: int) -> dict[str, Any]:
    """Does a run of the plugin of this name, on a worker.

    Returns:
        The content of its metrics.json, and of each epoch the pooled cosines of both time boxes. Of
        a run whose cost is not finite, as at a grid's highest rates, its settings and why.
    """
    from experiment.evaluation.run import run

    worker = distributed.get_worker()
    plugin = worker.plugins[name]
    plugin.check(worker.address)  # Dask gives runs to a late worker though its set-up failed.
    plugin.alive()
    try:
        settings = plugin.settings[number]
        split = mnist.split(plugin.data, settings)
        outcome, measured, _ = run(settings, split, observe=plugin.alive, alone=False)
        pooled = [[round(cosine, 4) for cosine in row[:2]] for row in outcome.history.quality]
        return {**measured, "pooled_cosines": pooled}
    except NotFiniteError as error:
        return {
            **settings.numeric(), "data_sha_256": plugin.data.sha_256, "not_finite": str(error),
        }  # fmt: skip
    finally:
        faulthandler.cancel_dump_traceback_later()
