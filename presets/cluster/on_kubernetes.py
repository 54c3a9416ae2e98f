"""Forty workers on Kubernetes (docs/using.md), by dask-kubernetes and an image of the project."""

from dask_kubernetes.operator import KubeCluster

WORKER = [".venv/bin/python", "-m", "dask", "worker", "--nthreads", "1", "--memory-limit", "0"]
KubeCluster(
    name="study",
    image="registry/study",
    n_workers=40,
    env={"DASK_CONFIG": "presets/cluster/dask.yaml"},
    worker_command=WORKER,
)
