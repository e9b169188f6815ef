"""Reading of HLO, and what is predicted from it, against sums done by hand."""

import json

import pytest

from benchmarks import hlo, scaling

PROGRAM = """HloModule step, num_partitions=8

%inner (p.1: f32[4,8], p.2: f32[8,2]) -> f32[4,2] {
  %p.1 = f32[4,8]{1,0} parameter(0)
  %p.2 = f32[8,2]{1,0} parameter(1)
  ROOT %dot.1 = f32[4,2]{1,0} dot(%p.1, %p.2), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%body (s: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %s = (s32[], f32[4,8]{1,0}) parameter(0)
  %a = f32[4,8]{1,0} get-tuple-element(%s), index=1
  %b = f32[8,2]{1,0} all-gather(%a), replica_groups=[2,4]<=[8], dimensions={0}
  %c = f32[4,2]{1,0} fusion(%a, %b), kind=kOutput, calls=%inner
  ROOT %t = (s32[], f32[4,8]{1,0}) tuple(%s, %a)
}

%test (s: (s32[], f32[4,8])) -> pred[] {
  ROOT %less = pred[] constant(true)
}

ENTRY %main (x: f32[2,8,8,3], k: f32[3,3,3,4]) -> f32[2,4,4,4] {
  %x = f32[2,8,8,3]{3,2,1,0} parameter(0)
  %k = f32[3,3,3,4]{3,2,1,0} parameter(1)
  %conv = f32[2,4,4,4]{3,2,1,0} convolution(%x, %k), window={size=3x3 stride=2x2}, dim_labels=b01f_01io->b01f
  %loop = (s32[], f32[4,8]) while(%init), condition=%test, body=%body, backend_config={"known_trip_count":{"n":"5"}}
  %sum = (f32[10]{0}, bf16[3]{0}) all-reduce(%u, %v), replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%add
  ROOT %one = f32[2]{0} reduce-scatter(%w), replica_groups=mesh['x'=2,'y'=4], device_ids=([8]) {'y'}, dimensions={0}
}
"""


def test_flops_and_collectives_are_read_loops_included():
    cost = hlo.read(PROGRAM)
    assert cost.flops == 2 * (2 * 4 * 4 * 4) * (3 * 3 * 3) + 5 * 2 * (4 * 2) * 8
    assert dict(cost.collectives) == {
        hlo.Collective("all-gather", 4, 8 * 2 * 4): 5,
        hlo.Collective("all-reduce", 8, 10 * 4 + 3 * 2): 1,
        hlo.Collective("reduce-scatter", 4, 2 * 4 * 4): 1,
    }


def test_a_loop_of_unknown_length_is_refused():
    with pytest.raises(ValueError, match="unknown length"):
        hlo.read(PROGRAM.replace(', backend_config={"known_trip_count":{"n":"5"}}', ""))


def test_bytes_of_a_ring_and_efficiency():
    program = {
        "flops": 4e12,
        "collectives": [["all-reduce", 8, 1e9, 1], ["all-gather", 8, 1e9, 2], ["all-reduce", 2, 1e6, 3]],
    }
    assert scaling.sent(program, 8, 4) == pytest.approx(2e9 * 3 / 4 + 2e9 * 3 / 4 + 3e6)
    link = scaling.Link("test", 1e13, 1e9, "")
    assert scaling.efficiency(4e12, 3e9, link, 0.4) == pytest.approx((1 / 4, 1 / 3))  # 1 s of work, 3 s of sending
    assert scaling.efficiency(4e12, 0.0, link, 0.4) == (1, 1)


def test_page_and_plot_say_what_was_read_and_what_was_not(tmp_path):
    read = {"flops": 1e9, "seconds": 1, "collectives": [["all-reduce", 8, 4e6, 1.0]]}
    programs = {f"{layout}/{n}": read for layout in scaling.LAYOUTS for n in scaling.COMPILED}
    programs["fully sharded/8"] = {"error": "not compiled within 5 s"}
    facts = {"preset": "paper", "batch": 4, "parameters": {"critic": 1_000_000}, "programs": programs}
    scaling.write({"models": {"some": facts}}, tmp_path / "out")
    text = (tmp_path / "out.md").read_text()
    assert "| some (paper) | 1,000,000 | 4 | data parallel | 1.00 | 4.00 MB |" in text
    assert "7.00 MB, 7.88 MB, 7.97 MB |" in text
    assert "not compiled within 5 s" in text
    assert json.loads((tmp_path / "out.json").read_text())["models"]["some"] == facts
    assert (tmp_path / "out.png").stat().st_size > 10_000
