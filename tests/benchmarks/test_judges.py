"""The rules that our judge is compared with do what their projects publish, and the traffic what it says."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks.judges import pauses
from benchmarks.judges.__main__ import cells
from benchmarks.judges.measuring import joined, measured, tuned
from benchmarks.judges.peers import Argo, Flagger, Kayenta
from benchmarks.judges.record import main, of_samples
from benchmarks.judges.recording import heading, line, read, write
from benchmarks.judges.tables import print_tables, print_targets
from benchmarks.judges.traffic import NOISES, REPLICA_NOISES, Cell, draw
from roundtrip.errors import EvidenceError
from roundtrip.gates.evidence import Counts, Sample
from roundtrip.gates.many import Arms, Ints
from roundtrip.gates.replay import of_ledger
from roundtrip.gates.summary import wilson
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home


def minutes(*bad: int, total: int = 10, stable: int = 1, length: int = 0) -> Arms:
    """One run with `total` canary requests a second, and so many bad ones in the first second of each minute."""
    length = length or len(bad)
    canary = np.full((1, 60 * length), total, dtype=np.int64)
    canary_bad = np.zeros_like(canary)
    for minute in range(length):
        canary_bad[0, 60 * minute] = bad[minute % len(bad)]
    stable_bad = np.zeros_like(canary)
    stable_bad[0, ::60] = np.arange(length) % 2 * stable
    return Arms(canary, canary_bad, canary * 9, stable_bad)


def test_argo_fails_with_one_failed_measurement_more_than_its_limit() -> None:
    arms = minutes(0, 600, 0, 600, 600)
    assert Argo().failed(arms)[0] == 120
    assert Argo(failure_limit=2).failed(arms)[0] == 300
    assert Argo(failure_limit=3).failed(arms)[0] == math.inf


def test_argo_calls_an_empty_minute_failed_and_a_series_that_was_never_there_an_error() -> None:
    silent = minutes(*[0] * 8, total=0)
    assert Argo().failed(silent)[0] == 300
    silent.canary[0, 70] = 1
    assert Argo().failed(silent)[0] == 180


def test_flagger_rolls_back_one_interval_after_its_last_failed_check() -> None:
    arms = minutes(0, 7, 7, 0, 7, 0, 0)
    assert Flagger(threshold=1).failed(arms)[0] == 180
    assert Flagger(threshold=3).failed(arms)[0] == 360
    assert Flagger().failed(arms)[0] == math.inf
    assert Flagger(threshold=1).failed(minutes(0, 6, 0))[0] == math.inf


def test_kayenta_says_high_only_at_the_end_and_only_of_a_shift() -> None:
    same = minutes(1, 0, length=60)
    worse = minutes(9, 8, length=60)
    assert Kayenta().failed(same)[0] == math.inf
    assert Kayenta().failed(worse)[0] == 3600


@pytest.mark.parametrize("per_second", [0.2, 5.0])
def test_a_tuned_rule_fails_no_more_harmless_runs_than_it_is_tuned_to(per_second: float) -> None:
    arms = draw(Cell(NOISES[3], per_second), 200, 1)
    for rule in tuned(arms).values():
        assert np.isfinite(rule(arms)).sum() <= 2


def test_noise_leaves_the_mean_and_shared_noise_moves_both_arms() -> None:
    for noise in NOISES[:5]:
        arms = draw(Cell(noise, 50.0), 60, 2)
        assert arms.canary_bad.sum() / arms.canary.sum() == pytest.approx(0.005, rel=0.05)
        assert arms.stable.sum() / arms.canary.sum() == pytest.approx(9, rel=0.01)
    shared, single = (draw(Cell(noise, 50.0), 60, 2) for noise in (NOISES[1], NOISES[3]))

    def together(arms: Arms) -> float:
        return float(np.corrcoef(arms.canary_bad.ravel(), arms.stable_bad.ravel())[0, 1])

    assert together(shared) > 0.05 > together(single)


def test_the_same_seed_draws_the_same_runs() -> None:
    one, same, other = (draw(Cell(NOISES[4], 5.0), 3, seed) for seed in (1, 1, 2))
    assert (one.canary_bad == same.canary_bad).all()
    assert not (one.canary == other.canary).all()
    assert joined([one, other]).canary.shape == (6, 3600)


def test_wilsons_interval_is_the_textbooks() -> None:
    assert wilson(0, 100) == pytest.approx((0.0, 0.0370), abs=1e-4)
    assert wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)


REPLICAS = {noise.name: noise for noise in REPLICA_NOISES}


def test_replicas_share_an_arms_traffic_and_have_bursts_of_their_own() -> None:
    one = draw(Cell(REPLICAS["1 of 10, 10 s"], 50.0), 60, 2)
    quarter = draw(Cell(REPLICAS["1 of 4, 10 s"], 50.0), 60, 2)
    assert one.stable.sum() / one.canary.sum() == pytest.approx(9, rel=0.01)
    assert quarter.stable.sum() / quarter.canary.sum() == pytest.approx(3, rel=0.01)
    for arms in (one, quarter):
        assert arms.canary_bad.sum() / arms.canary.sum() == pytest.approx(0.005, rel=0.05)
        assert arms.stable_bad.sum() / arms.stable.sum() == pytest.approx(0.005, rel=0.05)

    def scatter(total: Ints, bad: Ints) -> float:
        """Variance of the bad ones in ten seconds, in parts of their mean squared, without that of counting."""
        each = bad.reshape(-1, 10).sum(axis=1)
        return float((each.var() - each.mean()) / each.mean() ** 2)

    # Nine bursts at once are a ninth as scattered as one.
    assert scatter(one.canary, one.canary_bad) / scatter(one.stable, one.stable_bad) == pytest.approx(
        9, rel=0.35
    )


def test_of_three_replicas_one_is_bad() -> None:
    cell = Cell(REPLICAS["one bad of 3, none"], 50.0)
    harmless, harmful = cell.harmless(20, 1), cell.harmful(0.2, 20, 1)
    assert harmless.canary_bad.sum() / harmless.canary.sum() == pytest.approx(0.005, rel=0.05)
    assert harmful.canary_bad.sum() / harmful.canary.sum() == pytest.approx((0.2 + 0.01) / 3, rel=0.02)
    assert harmful.stable.sum() / harmful.canary.sum() == pytest.approx(3, rel=0.01)
    assert not cell.is_apart
    assert Cell(REPLICAS["one bad of 3, 10 s"], 50.0).is_apart


def simulated_recording(file: Path, *, seconds: int = 600, gap_at: int | None = None) -> None:
    """As if recorded: 60 requests/s to 1.0.0, of which none fails but for ten seconds in each minute, and 1/s to 1.1.0."""
    dice = np.random.default_rng(7)
    lines = []
    for second in range(seconds):
        total = int(dice.poisson(60))
        bad = int(dice.binomial(total, 0.06 if second % 60 < 10 else 0.0))
        counted = {"1.0.0": {"errors": Counts(total, bad)}, "1.1.0": {"errors": Counts(1, 1)}}
        lines.append(line(3.0 if second == gap_at else 1.0, counted))
    write(file, heading("api", datetime(2026, 1, 1, tzinfo=UTC), "simulated counts"), lines)


def test_a_recording_is_split_at_random_and_keeps_its_bursts(tmp_path: Path) -> None:
    simulated_recording(tmp_path / "simulated.jsonl", gap_at=100)
    (recorded,) = read(tmp_path / "simulated.jsonl")
    assert (recorded.name, recorded.left_out, recorded.total.size) == ("simulated, api errors", 1, 599)
    assert recorded.dispersion > 3
    arms = recorded.harmless(30, 1)
    assert arms.canary.shape == (30, 3600)
    assert arms.canary.sum() / (arms.canary + arms.stable).sum() == pytest.approx(0.1, rel=0.02)
    assert arms.canary_bad.sum() / arms.canary.sum() == pytest.approx(recorded.rate, rel=0.05)
    in_burst = arms.stable_bad > 0
    assert arms.canary_bad[in_burst].mean() > 10 * arms.canary_bad[~in_burst].mean()
    harmful = recorded.harmful(0.05, 30, 1)
    assert harmful.canary_bad.sum() / harmful.canary.sum() == pytest.approx(0.05, rel=0.05)
    assert harmful.stable_bad.sum() / harmful.stable.sum() == pytest.approx(recorded.rate, rel=0.05)


def test_all_judges_judge_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulated_recording(tmp_path / "simulated.jsonl")
    (traffic,) = cells(["recorded"], "", tmp_path)
    found = measured(traffic, harmless_runs=4, harmful_runs=2, seed=1)
    print_tables({traffic: found})
    print_targets({traffic: found})
    shown = capsys.readouterr().out
    assert list(found["Roundtrip, independent"].delays) == [
        0.02,
        0.05,
        0.10,
        0.20,
    ]  # 1 % is no harm beside 1 %
    assert np.isfinite(found["Roundtrip, independent"].delays[0.20]).all()
    assert "simulated, api errors" in shown
    assert "Targets: 3 of 3 are met" in shown


@pytest.mark.parametrize("text", ["", "{}\n", '{"service": "api"}\n{"seconds": 1}\n', '{"service": "api"}\n'])
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.jsonl").write_text(text)
    with pytest.raises(EvidenceError):
        read(tmp_path / "broken.jsonl")


def test_a_gates_samples_become_a_recording(tmp_path: Path) -> None:
    """A ledger as a gate leaves it: two seconds, a page that could not be read, and one more."""
    ledger = Ledger(Home(tmp_path).ledger_url)
    metric = {"name": "api-errors", "kind": "errors", "source": "front-door", "service": "api"}
    gate = {"metrics": [metric], "deadline_seconds": 60}
    started = {
        "gate": gate,
        "baselines": {},
        "canary": "1.1.0",
        "stable": "1.0.0",
        "environment": "simulated",
    }
    ledger.append_once("1", "gate.started", "wave-1", started)
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for number, (total, bad) in enumerate([(0, 0), (50, 1), (90, 1), (90, 1), (200, 4)]):
        missing = {"stable/api-errors": "source-unreadable: no page"} if number == 3 else {}
        counts = {"api-errors": Counts(total, bad)}
        sample = Sample(
            number, noon + timedelta(seconds=number), noon, {"api-errors": Counts()}, counts, missing
        )
        ledger.append_once("1", "gate.sample", f"wave-1#{number}", {**sample.to_json(), "counters": {}})
    lines = of_samples(of_ledger(ledger, "1", "wave-1"), "1.1.0", "1.0.0", "api")
    assert [(one["seconds"], one["counted"]["1.0.0"]["api-errors"]) for one in lines] == [
        (1.0, [50, 1]),
        (1.0, [40, 0]),
        (2.0, [110, 3]),
    ]
    told = [
        "ledger",
        str(tmp_path),
        "--release",
        "1",
        "--gate",
        "wave-1",
        "--service",
        "api",
        "--to",
        "simulated",
    ]
    main(told, recordings=tmp_path / "recordings")
    written = (tmp_path / "recordings" / "simulated.jsonl").read_text().splitlines()
    assert [json.loads(text) for text in written[1:]] == lines
    assert json.loads(written[0]) == {"began": noon.isoformat(), "from": "gate wave-1", "service": "api"}
    with pytest.raises(EvidenceError, match="no metric of that service"):
        of_samples(of_ledger(ledger, "1", "wave-1"), "1.1.0", "1.0.0", "workers")


def test_each_pause_between_blocks_gives_times_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    pauses.main(["--runs", "5"])
    rows = [row.split("|") for row in capsys.readouterr().out.splitlines()[2:]]
    assert [float(row[2]) for row in rows] == [*pauses.PAUSES, *pauses.PAUSES]
    for same_traffic in (rows[:3], rows[3:]):
        assert len({row[5] for row in same_traffic}) == len(pauses.PAUSES)
