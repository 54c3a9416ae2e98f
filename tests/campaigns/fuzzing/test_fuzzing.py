"""Every damaged or wrong input is refused with one line, or read right.

Hypothesis takes --inputs of each target; Atheris, which learns from the code that an input reaches,
eight times as many.
"""

import collections
import importlib.util
import json

import hypothesis
import pytest

from experiment.settings import PROJECT
from tests.campaigns.fuzzing.targets import MEGABYTES, SECONDS, fuzz_test
from tests.processes import started

pytestmark = pytest.mark.slow

PER_SEED = 5_000  # Hypothesis remembers the inputs of a seed.
# The first columns of the table.
ROWS = {
    "data": ("the data are damaged", "one line names the file, or they are read right"),
    "checkpoint": ("a file of a checkpoint is damaged", "the checkpoint is left out"),
    "study": ("the file of a study is wrong", "one line names the file, or it is a study"),
    "flags": ("a flag or a flag file is wrong", "one line names it, or a run can have these flags"),
}


@pytest.fixture
def report(outcome):
    """Checks the counts of a fuzzer and notes its row of the table."""

    def report(name, fuzzer, counts, wanted):
        assert counts.total() >= wanted
        assert min(counts["read"], counts["refused"]) > 0.001 * wanted
        failure, then = ROWS[name]
        tried = f"{counts.total()} inputs, {counts['refused']} refused: 0 crashes, each within "
        outcome(f"{failure} (by {fuzzer})", then, f"{tried}{SECONDS} s and {MEGABYTES} MB")

    return report


@pytest.fixture
def campaign(pytestconfig):
    """Loads Hypothesis's profile of the campaign; yields the number of inputs."""
    inputs = pytestconfig.getoption("inputs")
    former = hypothesis.settings.get_current_profile_name()
    hypothesis.settings.register_profile(
        "campaign", max_examples=min(inputs, PER_SEED), deadline=None, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    hypothesis.settings.load_profile("campaign")
    yield inputs
    hypothesis.settings.load_profile(former)


@pytest.mark.parametrize("name", ROWS)
def test_hypothesis(name, campaign, report, tmp_path):
    counts, seed = collections.Counter(), 0
    while counts.total() < campaign:
        (tmp_path / str(seed)).mkdir()
        hypothesis.seed(seed)(fuzz_test(name, tmp_path / str(seed), counts))()
        seed += 1
    report(name, "Hypothesis", counts, campaign)


@pytest.mark.parametrize("name", ["data", "study", "flags"])
def test_atheris(name, report, tmp_path, pytestconfig):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("Atheris has no build for this Python")
    wanted = 8 * pytestconfig.getoption("inputs")
    command = "-m", "tests.campaigns.fuzzing.run", name, tmp_path, wanted, 0
    with started(*command, folder=PROJECT) as process:
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    report(name, "Atheris", collections.Counter(json.loads(stdout)), wanted)
