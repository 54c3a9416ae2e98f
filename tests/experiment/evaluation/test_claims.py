import json

import pytest

from experiment.evaluation.claims import NOT_REPRODUCED, REPRODUCED, diff_text, judge, table
from experiment.report.claims import over_seeds
from experiment.settings import PROJECT, Settings, non_default_flags
from experiment.training.mnist import SHA_256

MANUAL = {
    "mode": "manual", "cost_first": 16.722, "cost_last": 9.854, "test_correct": 8,
    "test_total": 20, "lr_auto": 0.1,
}  # fmt: skip
AUTO = {**MANUAL, "mode": "auto", "cost_first": 17.418, "cost_last": 0.243, "test_correct": 12}


def verdicts(claims):
    assert [claim.number for claim in claims] == ["C1", "C2", "C3", "C4", "C5", "C6"]
    return [claim.verdict for claim in claims]


def test_one_run_judges_its_own_claims():
    first, second, *rest = verdicts(judge(MANUAL, None))
    assert (first, second) == (REPRODUCED, REPRODUCED)
    assert [verdict.partition(":")[0] for verdict in rest] == ["not judged"] * 4
    assert "--mode=auto" in rest[1]
    first, second, third, fourth, fifth, sixth = verdicts(judge(None, AUTO))
    assert "--mode=manual" in first
    assert (second, fourth, sixth) == (REPRODUCED, REPRODUCED, REPRODUCED)
    assert "make bench" in third
    assert "make reproduce" in fifth


def test_both_runs_judge_all():
    found = judge(MANUAL, AUTO, {"feed": 17.8, "auto, feed": 0.41})
    assert found[1].evidence == "manual 8 of 20 correct, auto 12 of 20 correct"
    # What docs/experiment.md §5 says of the post's program.
    assert verdicts(found) == [
        REPRODUCED, REPRODUCED, REPRODUCED, REPRODUCED, NOT_REPRODUCED, REPRODUCED,
    ]  # fmt: skip


def test_a_run_on_other_data_is_called_so():
    text = diff_text(Settings(), {**MANUAL, "data_sha_256": {}}, None).splitlines()
    assert text[:5] == [
        "# published-manual: this run against the post", "", "The data are not the post's.", "",
        table(judge(MANUAL, None)).splitlines()[0],
    ]  # fmt: skip
    assert "The data" not in diff_text(Settings(), {**MANUAL, "data_sha_256": SHA_256}, None)


@pytest.mark.parametrize(
    ("change", "number"),
    [({"test_correct": 20}, 4), ({"test_total": 30}, 2), ({"lr_auto": 0.2}, 6)],
)
def test_auto_claims_can_fail(change, number):
    assert verdicts(judge(None, {**AUTO, **change}))[number - 1] == NOT_REPRODUCED


def test_manual_claims_can_fail():
    assert verdicts(judge({**MANUAL, "cost_last": 17.0}, None))[0] == NOT_REPRODUCED
    assert verdicts(judge(MANUAL, AUTO, {"feed": 1.0, "auto, feed": 0.9}))[2] == NOT_REPRODUCED
    assert verdicts(judge(MANUAL, AUTO, None))[2] == "not judged: run make bench"
    assert verdicts(judge({**MANUAL, "test_correct": 13}, AUTO, None))[4] == REPRODUCED


def test_the_claims_over_the_seeds_of_the_study():
    folder = PROJECT / "results" / "studies" / "claims"
    runs = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
    correct = {
        mode: [run["test_correct"] for run in runs if run["experiment"] == f"published-{mode}"]
        for mode in ("manual", "auto")
    }
    study = over_seeds(folder)
    assert study.seeds == len(correct["manual"]) == len(correct["auto"]) == 30
    assert study.evidence["C4"].startswith(f"{sum(correct['auto']) / 30:.1f} (")
    better = [manual - auto for manual, auto in zip(*correct.values(), strict=True)]
    assert study.evidence["C5"].startswith(f"manual − auto: {sum(better) / 30:.1f} (")
    assert study.evidence["C5"].endswith(f"better with {sum(d > 0 for d in better)} of 30")
    rows = (PROJECT / "results" / "claims.md").read_text().splitlines()
    assert "over 30 seeds" in rows[0]
    assert [row.split("|")[5].strip() for row in rows[2:]] == [
        study.evidence.get(f"C{number}", "–") for number in range(1, 7)
    ]


def test_a_study_that_is_not_done_is_compared_on_the_seeds_that_both_modes_have(tmp_path):
    assert over_seeds(tmp_path) is None

    def line(mode, seed, number):
        costs = {"cost_first": 2.0, "cost_last": 1.0 + seed}
        correct = {"test_correct": number, "test_accuracy": number / 20}
        return json.dumps({**whole, "mode": mode, "seed": seed, **correct, **costs}) + "\n"

    path = PROJECT / "results" / "studies" / "claims" / "runs.jsonl"
    whole = json.loads(path.read_text().splitlines()[0])

    # In the order in which two workers may end, and cut off in the last line.
    done = [("auto", 1, 8), ("manual", 0, 10), ("auto", 0, 7), ("manual", 2, 20), ("manual", 1, 12)]
    lines = "".join(line(*run) for run in done) + line("auto", 2, 0)[:-9]
    (tmp_path / "runs.jsonl").write_text(lines)
    assert over_seeds(tmp_path) == (
        2,
        {
            "C1": "falls with 1 of 2",
            # By Student's t: of two values the mean ± 12.706 times half their distance.
            "C2": "manual 11.0 (-1.7 to 23.7), auto 7.5 (1.1 to 13.9) correct",
            "C4": "7.5 (1.1 to 13.9) of 20 correct",
            "C5": "manual − auto: 3.5 (-2.9 to 9.9); better with 2 of 2",
        },
    )
    (tmp_path / "runs.jsonl").write_text(line("manual", 0, 10))
    assert over_seeds(tmp_path) is None


def test_settings_that_are_not_the_post_s_become_flags():
    settings = Settings(mode="auto", wiring="ordered", digits=("3", "8"), lr_rec=0.0)
    for each in (settings.numeric(), json.loads(json.dumps(settings.numeric()))):
        assert non_default_flags(each) == ["--digits=3,8", "--lr_rec=0.0"]
    assert non_default_flags(Settings(mode="auto").numeric()) == []
