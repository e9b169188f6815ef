"""The table of where a step's time goes."""

import pytest

from benchmarks import profile

HLO = """HloModule jit_step, is_scheduled=true
  %add_fusion.3 = f32[8] fusion(%p), metadata={op_name="jit(step)/jvp(CNN)/conv_0/add" stack_frame_id=1}
  ROOT %while.2 = (f32[8]) while(%p), metadata={op_name="jit(step)/while"}
HloModule jit_step_r1, is_scheduled=true
  %add_fusion.3 = f32[8] fusion(%p), metadata={op_name="jit(step_r1)/jvp(CNN)/dense/add" stack_frame_id=1}
  %while.2 = f32[8] fusion(%p), metadata={op_name="jit(step_r1)/not_a_loop"}
"""


def event(name, duration, module="jit_step"):
    return {"ph": "X", "dur": duration, "args": {"hlo_op": name, "hlo_module": module}}


def test_operations_are_joined_by_layer_and_loops_not_counted_twice():
    events = [event("add_fusion.3", 4000), event("add_fusion.3", 2000), event("while.2", 9000), {"ph": "M"}]
    assert profile.summarize(events, HLO, 2) == [("add_fusion | jvp(CNN)/conv_0/add", pytest.approx(3.0), 1.0)]


def test_programs_that_number_their_operations_alike_are_kept_apart():
    events = [
        event("add_fusion.3", 4000),
        event("add_fusion.3", 6000, "jit_step_r1"),
        event("while.2", 1000, "jit_step_r1"),
    ]
    rows = [
        ("add_fusion | jvp(CNN)/dense/add", pytest.approx(3.0), 0.5),
        ("add_fusion | jvp(CNN)/conv_0/add", pytest.approx(2.0), 0.5),
        ("while | not_a_loop", pytest.approx(0.5), 0.5),
    ]
    assert profile.summarize(events, HLO, 2) == rows


def test_a_real_step(capsys):
    assert profile.main(["mlp_vae,preset=tiny", "--top", "40"]) == 0
    out = capsys.readouterr().out
    assert "Encoder" in out
    assert "Decoder" in out
    assert profile.main(["unknown"]) == 2
