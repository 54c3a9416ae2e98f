"""The command runs a study: on this machine and over TLS, with the same bytes."""

import pytest

from experiment.settings import PROJECT
from tests import processes
from tests.reference.result_files import contents

pytestmark = pytest.mark.slow


def files_of_a_study(folder, *arguments, **environment):
    (folder / "small.toml").write_text(processes.SMALL_STUDY)
    flags = (f"--study={folder / 'small.toml'}", f"--results_dir={folder}", *arguments)
    result = processes.run(*flags, **environment)
    assert result.returncode == 0, result.stderr
    assert "| later − first " in result.stdout
    return contents(folder / "studies/small")


def test_workers_over_tls_write_the_bytes_of_local_ones(tmp_path):
    config = processes.certificates(tmp_path)
    for name in ("local", "tls"):
        (tmp_path / name).mkdir()
    local = files_of_a_study(tmp_path / "local")
    with (
        processes.scheduler(config) as (address, _),
        processes.worker(address, config, PROJECT),
    ):
        over_tls = files_of_a_study(tmp_path / "tls", f"--scheduler={address}", **config)
    assert over_tls == local
