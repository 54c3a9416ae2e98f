"""Forty workers on Slurm (docs/using.md), by dask-jobqueue; needs cert.pem and key.pem here."""

from dask_jobqueue import SLURMCluster
from distributed import Security

cluster = SLURMCluster(
    cores=1,
    processes=1,
    memory="2GB",
    walltime="02:00:00",
    protocol="tls://",
    security=Security(require_encryption=True),
    worker_extra_args=["--memory-limit", "0"],
    job_script_prologue=["export DASK_CONFIG=$PWD/presets/cluster/dask.yaml"],
)
cluster.scale(jobs=40)
input(f"--scheduler={cluster.scheduler_address}, until Enter: ")
