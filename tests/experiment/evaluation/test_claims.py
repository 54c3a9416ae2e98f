import json

from experiment.evaluation.claims import (
    NOT_REPRODUCED,
    POST,
    REPRODUCED,
    diff_text,
    judge,
    table,
)
from experiment.report.claims import over_seeds
from experiment.settings import PROJECT, Settings, non_default_flags
from experiment.training.mnist import SHA_256

MANUAL = {
    "mode": "manual", "cost_first": 16.722, "cost_last": 9.854, "test_correct": 8,
    "test_total": 20, "lr_auto": 0.1,
}  # fmt: skip
AUTO = {**MANUAL, "mode": "auto", "cost_first": 17.418, "cost_last": 0.243, "test_correct": 12}


def verdicts(claims):
    assert [claim.number for claim in claims] == ["C1", "C3", "C4", "C5"]
    return [claim.verdict for claim in claims]


def test_one_run_judges_its_own_claims():
    first, *rest = verdicts(judge(MANUAL, None))
    assert first == REPRODUCED
    assert [verdict.partition(":")[0] for verdict in rest] == ["not judged"] * 3
    assert "--mode=auto" in rest[1]
    first, third, fourth, fifth = verdicts(judge(None, AUTO))
    assert "--mode=manual" in first
    assert fourth == REPRODUCED
    assert "make bench" in third
    assert "make reproduce" in fifth


def test_both_runs_judge_all():
    claims = judge(MANUAL, AUTO, {"feed": 17.8, "auto, feed": 0.41})
    assert claims[3].evidence == "manual 8 of 20 correct, auto 12 of 20 correct"
    # The recorded runs of the post's program: docs/experiment.md §5.
    assert verdicts(claims) == [REPRODUCED, REPRODUCED, REPRODUCED, NOT_REPRODUCED]


def test_a_run_on_other_data_is_called_so():
    text = diff_text(Settings(), {**MANUAL, "data_sha_256": {}}, None).splitlines()
    assert text[:5] == [
        "# published-manual: this run against the post", "", "The data are not the post's.", "",
        table(judge(MANUAL, None)).splitlines()[0],
    ]  # fmt: skip
    assert "The data" not in diff_text(Settings(), {**MANUAL, "data_sha_256": SHA_256}, None)


def test_claims_can_fail():
    assert verdicts(judge({**MANUAL, "cost_last": 17.0}, None))[0] == NOT_REPRODUCED
    assert verdicts(judge(MANUAL, AUTO, {"feed": 1.0, "auto, feed": 0.9}))[1] == NOT_REPRODUCED
    assert verdicts(judge(MANUAL, AUTO, None))[1] == "not judged: run make bench"
    assert verdicts(judge(None, {**AUTO, "test_correct": 20}))[2] == NOT_REPRODUCED
    assert verdicts(judge({**MANUAL, "test_correct": 13}, AUTO, None))[3] == REPRODUCED


def test_the_claims_over_the_seeds_of_the_study():
    folder = PROJECT / "results" / "studies" / "claims"
    runs = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
    manual, auto = (
        [run for run in runs if run["experiment"] == f"published-{mode}"]
        for mode in ("manual", "auto")
    )
    study = over_seeds(folder)
    assert study.seeds == len(manual) == len(auto) == 30
    assert study.evidence["C4"].startswith(f"{sum(run['test_correct'] for run in auto) / 30:.1f} (")
    for name, text in (
        ("test_correct", "manual − auto: {:+.1f} (95 % CI"),
        ("held_out_accuracy", "on the held-out images {:+.1f} ("),
    ):
        scale = 100 if name == "held_out_accuracy" else 1
        more = [scale * (one[name] - other[name]) for one, other in zip(manual, auto, strict=True)]
        assert text.format(sum(more) / 30) in study.evidence["C5"]
    assert study.evidence["C5"].endswith(f"more than 0 in {sum(d > 0 for d in more)} of 30")
    rows = (PROJECT / "results" / "claims.md").read_text().splitlines()
    assert "over 30 seeds" in rows[0]
    assert [row.split("|")[5].strip() for row in rows[2:]] == [
        study.evidence.get(number, "–") for number in POST
    ]


def test_a_study_that_is_not_done_is_compared_on_the_seeds_that_both_modes_have(tmp_path):
    assert over_seeds(tmp_path) is None

    def line(mode, seed, number):
        costs = {"cost_first": 2.0, "cost_last": 1.0 + seed}
        correct = {"test_correct": number, "held_out_accuracy": number / 100}
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
            "C1": "the cost falls in 1 of 2",
            # By Student's t: of two values the mean ± 12.706 times half their distance.
            "C4": "7.5 (95 % CI 1.1 to 13.9) of 20 correct",
            "C5": "manual − auto: +3.5 (95 % CI -2.9 to +9.9) of 20 test images; on the held-out "
            "images +3.5 (95 % CI -2.9 to +9.9) points, more than 0 in 2 of 2",
        },
    )
    (tmp_path / "runs.jsonl").write_text(line("manual", 0, 10))
    assert over_seeds(tmp_path) is None


def test_settings_that_are_not_the_post_s_become_flags():
    settings = Settings(mode="auto", wiring="ordered", digits=("3", "8"), lr_rec=0.0)
    for each in (settings.numeric(), json.loads(json.dumps(settings.numeric()))):
        assert non_default_flags(each) == ["--digits=3,8", "--lr_rec=0.0"]
    assert non_default_flags(Settings(mode="auto").numeric()) == []
