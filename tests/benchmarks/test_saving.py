"""What a checkpoint costs, of a small model."""

from benchmarks import saving


def test_of_a_model_with_options(tmp_path, monkeypatch):
    median = saving.median
    monkeypatch.setattr(saving, "median", lambda work, times: median(work, min(times, 3)))
    row = saving.measure("mlp_vae,hidden=8", tmp_path / "run", steps=10, saves=2)
    assert 0 < row.size < 3  # megabytes: weights and two moments, and the moving average
    assert min(row.step, row.host, row.guard, row.call, row.hashing) > 0
    assert row.per_step == (row.guard + row.call) / 500
