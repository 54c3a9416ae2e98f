"""Runs of a study on the workers of a Dask: the cores of this machine, or a scheduler's."""

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
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from importlib.metadata import version
from multiprocessing import resource_tracker
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import dask
import distributed
from distributed.scheduler import NoValidWorkerError, NoWorkerError
from tqdm import tqdm

from experiment.errors import UserError
from experiment.settings import PROJECT, Settings
from experiment.training import mnist
from experiment.training.outcome import NotFiniteError
from experiment.training.startup import fix_rounding, import_tensorflow

# For independent runs of seconds or minutes. The user's Dask configuration overrides these.
DEFAULTS = {
    "scheduler": {
        "allowed-failures": 2,
        "no-workers-timeout": "300s",
        "worker-saturation": 1.0,
        "work-stealing": False,
    },
    "deploy": {"lost-worker-timeout": "300s"},  # A worker may be slow to start anew.
    "worker": {"profile": {"enabled": False}},  # A sample every 10 ms is not free.
    "nanny": {
        "pre-spawn-environ": {
            "MALLOC_TRIM_THRESHOLD_": None,
            "DASK_LOGGING__DISTRIBUTED": "critical",  # A worker that ends logs tracebacks.
        }
    },
}
CONNECT = 10  # seconds
GOES_ON = "and the same command goes on"
LOST = f"the scheduler is lost: start it again, {GOES_ON}"


class Job(Protocol):
    """One run: the experiment's name, and settings that have a seed."""

    @property
    def experiment(self) -> str: ...  # noqa: D102

    @property
    def settings(self) -> Any: ...  # noqa: D102


AnyJob = TypeVar("AnyJob", bound=Job)
# Takes settings, data and a function to be called while the run lasts; returns the measurements.
Work = Callable[[Any, mnist.Data, Callable[..., None]], dict[str, Any]]


def one_run(settings: Settings, data: mnist.Data, observe: Callable[..., None]) -> dict[str, Any]:
    """Does a run of `experiment.evaluation.run`.

    Returns:
        The content of metrics.json, and the quality of the gradients in each epoch, [epochs,
        `QUALITY`]. If the cost is not finite, as at a grid's highest rates: the settings and the
        reason. With either, `cpu_seconds`.
    """
    from experiment.evaluation.run import run

    begun = time.process_time()
    try:
        split = mnist.split(data, settings)
        outcome, measured, _ = run(settings, split, observe=observe, alone=False)
        measured = {**measured, "quality": outcome.history.quality}
    except NotFiniteError as error:
        measured = {
            **settings.numeric(), "data_sha_256": data.sha_256, "not_finite": str(error),
        }  # fmt: skip
    return {**measured, "cpu_seconds": round(time.process_time() - begun, 1)}


def on_workers(
    jobs: Sequence[AnyJob],
    data: mnist.Data,
    scheduler: str | None = None,
    *,
    dashboard: bool = False,
    work: Work = one_run,
) -> Generator[tuple[AnyJob, dict[str, Any]]]:
    """Yields each job and its measurements, in the order in which they end.

    Args:
        jobs: to do.
        data: of the runs.
        scheduler: the address of a Dask; None: the cores of this machine.
        dashboard: print the address of Dask's dashboard.
        work: does a job; a function of a module of this project.

    Raises:
        UserError: a run failed, or no worker is left.
    """
    if not jobs:
        return
    with _client(scheduler, dashboard=dashboard) as client:
        settings = [job.settings for job in jobs]
        plugin = Plugin(data, settings, work, local=scheduler is None)
        name = plugin.name

        def run(number: int) -> dict[str, Any]:
            # Sent by value: the scheduler unpacks it, and may not have this project.
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
                # If the scheduler is lost, so is the plugin.
                with contextlib.suppress(OSError, ValueError):
                    client.unregister_worker_plugin(name)


def _set_up(client: distributed.Client, plugin: "Plugin") -> None:
    """Registers the plugin with present and future workers. Raises UserErrors."""
    try:
        client.register_plugin(plugin, name=plugin.name)
    except (OSError, ImportError, AttributeError) as error:  # It died, or lacks this project.
        raise UserError(
            f"a worker cannot be set up ({error}): see docs/using.md, {GOES_ON}"
        ) from None
    except ValueError as error:
        raise _lost(error) from None


def _lost(error: ValueError) -> Exception:
    """The error to raise; Tornado's ValueError means that a connection ended as it began."""
    return UserError(LOST) if "IOStream" in str(error) else error


def _result(future: Any, job: Job) -> dict[str, Any]:
    """The measurements of a run. Raises UserErrors."""
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
    """A client of the scheduler, or of a new cluster on this machine. Raises UserErrors."""
    if dashboard and importlib.util.find_spec("bokeh") is None:
        raise UserError("--dashboard needs the package bokeh: call make setup-lab")
    dask.config.update_defaults({"distributed": DEFAULTS})
    for name in ("distributed", "distributed.client", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Only this thread takes SIGINT: Dask's threads and processes keep it blocked.
    resource_tracker.ensure_running()  # It would unblock the signal.
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
            # A ValueError: an impossible host name, or a connection that is cut off.
            place = f"--scheduler={scheduler}" if scheduler else "this machine"
            raise UserError(
                f"{place} does not take part ({error}): see docs/using.md, {GOES_ON}"
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        if dashboard:
            tqdm.write(f"dashboard: {client.dashboard_link}", sys.stderr)
        yield client


def _security(scheduler: str) -> distributed.Security:
    """The certificates of Dask's configuration. Raises UserErrors; OSErrors if no port answers."""
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
    """Prepares a worker for the runs of one command.

    Attributes:
        name: of the plugin, unique.
        data, settings, work: of the runs; set once a worker is set up.
    """

    data: mnist.Data
    settings: list[Any]
    work: Work

    def __init__(
        self, data: mnist.Data, settings: list[Any], work: Work = one_run, *, local: bool
    ) -> None:
        self.name = f"study-{uuid.uuid4().hex}"
        self._local = local
        self._versions = _versions()
        self._silence = dask.utils.parse_timedelta(
            dask.config.get("distributed.scheduler.worker-ttl")
        )
        # Packed: a worker with another NumPy, to be refused, may not be able to read them.
        self._packed = pickle.dumps((data, settings, work))

    def setup(self, worker: Any) -> None:
        """Prepares a worker. Raises a UserError if its numbers would be rounded differently."""
        self.check(worker.address)
        fix_rounding()
        import_tensorflow()
        self.data, self.settings, self.work = pickle.loads(self._packed)

    def teardown(self, worker: Any) -> None:
        """Ends a worker of this machine at once, even during a run."""
        if self._local:
            os._exit(0)

    def check(self, address: str) -> None:
        """Raises a UserError if the worker's numbers could differ from the client's."""
        versions = _versions()
        if other := [name for name, value in self._versions.items() if versions[name] != value]:
            raise UserError(f"the worker {address} has another {other[0]} than this command")
        # It has to be set before NumPy is imported.
        if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
            raise UserError(f"the worker {address} lacks OPENBLAS_NUM_THREADS=1 in its environment")

    def alive(self, *_: Any) -> None:
        """Ends the worker unless it is called again in time; Dask then repeats the run."""
        faulthandler.dump_traceback_later(self._silence, exit=True)


def _versions() -> dict[str, str]:
    """The versions that the numbers depend on: a digest of the code, NumPy, TensorFlow."""
    digest = hashlib.sha256()
    for package in ("experiment", "graph"):
        for path in sorted((PROJECT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return {
        "code": digest.hexdigest(),
        "NumPy": version("numpy"),
        "TensorFlow": version("tensorflow"),
    }


def measure(name: str, number: int) -> dict[str, Any]:
    """Does run `number` of the plugin `name`, on a worker, and returns its measurements."""
    worker = distributed.get_worker()
    plugin = worker.plugins[name]
    plugin.check(worker.address)  # Dask gives runs even to a worker whose set-up failed.
    plugin.alive()
    try:
        measured: dict[str, Any] = plugin.work(plugin.settings[number], plugin.data, plugin.alive)
        return measured
    finally:
        faulthandler.cancel_dump_traceback_later()
