"""TensorBoard shows the event file of a run, and `--tensorboard` changes no other file."""

import html
import json
import re
import shutil
import time
import urllib.request

import pytest

from experiment.evaluation.tensorboard import DESCRIPTIONS
from experiment.training.outcome import QUALITY
from tests import processes
from tests.preloaded_process import run
from tests.reference.result_files import contents, read_costs

pytestmark = pytest.mark.slow
NAME = "ordered-manual"
FLAGS = ("--wiring=ordered", "--epochs=3", "--train_images=30", "--test_images=4", "--diagnostics")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Results of a run, and of one that went on after its second epoch."""
    whole, resumed = (tmp_path_factory.mktemp(name) for name in ("whole", "resumed"))
    result = run(*FLAGS, "--tensorboard", f"--results_dir={whole}")
    assert (result.returncode, result.stderr) == (0, "")
    flags = (*FLAGS, "--checkpoint_every=2", f"--results_dir={resumed}")
    assert run(*flags, "--keep_checkpoints").returncode == 0
    shutil.rmtree(resumed / NAME / "checkpoint" / "epoch-3")
    result = run(*flags, "--resume", "--tensorboard")
    assert result.stdout.startswith("epoch 3 of 3")
    return whole, resumed


def test_the_other_files_are_the_same_bytes(folders, tmp_path):
    assert run(*FLAGS, f"--results_dir={tmp_path}").returncode == 0
    for folder in folders:
        assert contents(folder / NAME) == contents(tmp_path / NAME)


def test_tensorboard_shows_it(folders):
    whole, resumed = folders
    shutil.copytree(resumed / NAME / "tensorboard", whole / "resumed")
    command = ("-m", "tensorboard.main", f"--logdir={whole}", "--host=127.0.0.1", "--port=0")
    with processes.started(*command) as process:
        line = ""
        while "Press CTRL+C" not in line:
            line = process.stderr.readline()
            assert line
        address = re.search(r"http://127\.0\.0\.1:\d+/", line)[0]

        def get(path):
            with urllib.request.urlopen(address + path, timeout=30) as response:
                return response.read().decode()

        deadline = time.monotonic() + 60
        # The last pictures that are written; TensorBoard reads in the background.
        while get("data/plugin/images/tags").count("test_images/03") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        run = f"{NAME}/tensorboard"
        assert json.loads(get("data/runs")) == [run, "resumed"]
        tags = json.loads(get("data/plugin/scalars/tags"))[run]
        assert len(tags) == 1 + len(QUALITY) + 2 * 6
        for tag, about in tags.items():
            assert DESCRIPTIONS[tag.partition("/")[0]] in html.unescape(about["description"])
        for name in (run, "resumed"):
            points = json.loads(get(f"data/plugin/scalars/scalars?run={name}&tag=cost_per_epoch"))
            costs = [value for _, _, value in points]
            assert costs == pytest.approx(list(read_costs(whole / NAME)), rel=1e-6)
        norms, norms_resumed = (
            {step: value for _, step, value in json.loads(get(f"data/plugin/scalars/scalars?{of}"))}
            for of in (f"run={name}&tag=norm/w_fc" for name in (run, "resumed"))
        )
        assert list(norms) == [0, 1, 2, 3]
        assert norms_resumed == {epoch: norms[epoch] for epoch in (2, 3)}
        assert len(json.loads(get("data/plugin/histograms/tags"))[run]) == 6
        assert json.loads(get("data/plugin/graphs/info"))[run]["run_graph"]
        graph = get(f"data/plugin/graphs/graph?run={run}&conceptual=false")
        assert 'name: "time_box_2/' in graph
