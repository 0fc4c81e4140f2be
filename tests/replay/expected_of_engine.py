"""What the journals of the whole engine meant when they were recorded: as `record.py` printed it, never edited."""

from __future__ import annotations

from typing import Any

PAD = (
    "i2WqFCPYgb1BWaCUo85bbI8ynBboCFoooDsb1JPl_3hvUT7B1QtL42GLcpZAlJSRxCGXHzFbcT-LzkG-XI3oG8KDrJ9aY04VZHJB"
    "d3KmGFwwINNDbolL3ZZ0q1RfbaWphNwekHkrTDuEbyAmg5GnM0bbjUkTRIo-ZHoPzKuOdt94t2t8VAqa4c09Kk3-TGywnRBmgQsF"
)
"""What each step of `governed_effects` gave."""

EXPECTED_OF_ENGINE: dict[str, dict[str, Any]] = {
    "approved_call_timed_out": {
        "end": ("done", "ok"),
        "outputs": {
            "s0": {"outcome": "ok", "output": {}, "run_id": "01b8dac5-b5ad-7894-9302-f708661daa48"},
            "s2_ok": {"n": 1},
            "s4": {"n": 4},
        },
        "steps": {
            "s0": ("done", 1),
            "s1": ("done", 1),
            "s2": ("done", 1),
            "s2_ok": ("done", 1),
            "s3": ("done", 1),
            "s4": ("done", 0),
        },
    },
    "approved_event": {
        "end": ("done", "ok"),
        "outputs": {"s0_ok": {"n": 1}, "s3": {"event": {"n": 0, "step": "3"}}},
        "steps": {"s0": ("done", 1), "s0_ok": ("done", 1), "s1": ("done", 2), "s2": ("done", 1), "s3": ("done", 1)},
    },
    "called_run": {"end": ("done", "ok"), "outputs": {}, "steps": {"c0": ("done", 1), "c1": ("done", 2)}},
    "cancelled_undone": {
        "end": ("cancelled", None),
        "outputs": {
            "s0_ok": {"n": 1},
            "s2": {"outcome": "ok", "output": {}, "run_id": "01b8dac5-ba48-7240-bfd2-2b902f891818"},
        },
        "steps": {
            "s0": ("done", 1),
            "s0/undo": ("done", 1),
            "s0_ok": ("done", 1),
            "s1": ("cancelled", 1),
            "s1[0]/e": ("done", 2),
            "s1[0]/e/undo": ("done", 1),
            "s1[1]/e": ("done", 2),
            "s1[1]/e/undo": ("done", 1),
            "s1[2]/e": ("failed", 1),
            "s2": ("done", 1),
            "s3": ("cancelled", 0),
        },
    },
    "child_failed_paused": {
        "end": ("failed", None),
        "outputs": {"s1_ok": {"n": 1}},
        "steps": {
            "s0": ("failed", 1),
            "s1": ("done", 1),
            "s1/undo": ("done", 1),
            "s1_ok": ("done", 1),
            "s2": ("cancelled", 0),
        },
    },
    "continued": {
        "end": ("done", "continued"),
        "outputs": {},
        "steps": {"s0[0]/e": ("done", 1), "s0[1]/e": ("done", 1), "s0[2]/e": ("done", 1)},
    },
    "continued_again": {
        "end": ("done", "continued"),
        "outputs": {},
        "steps": {"s0[0]/e": ("done", 1), "s0[1]/e": ("done", 1), "s3": ("done", 0)},
    },
    "continues_to_its_end": {
        "end": ("done", "ok"),
        "outputs": {"s0": {"turns": 5}, "s1": {"count": 3, "failed": [], "items": [{"n": 0}, {"n": 1}, {"n": 2}]}},
        "steps": {
            "s0": ("done", 1),
            "s0[0]/e": ("done", 1),
            "s0[1]/e": ("done", 1),
            "s1": ("done", 1),
            "s1[0]/e": ("done", 2),
            "s1[1]/e": ("done", 2),
            "s1[2]/e": ("done", 2),
        },
    },
    "held_by_a_breaker": {
        "end": ("failed", None),
        "outputs": {"s0_ok": {"n": 1}, "s1": {"n": 1}},
        "steps": {
            "s0": ("done", 1),
            "s0_ok": ("done", 1),
            "s1": ("done", 0),
            "s2": ("failed", 1),
            "s3": ("done", 1),
            "s4": ("done", 3),
        },
    },
    "migrated": {
        "end": ("done", "finished"),
        "outputs": {"ask": {"answer": 1}, "pay": {"n": 1}},
        "steps": {"ask": ("done", 1), "pay": ("done", 1)},
    },
    "python_called": {
        "end": ("done", "ok"),
        "outputs": {
            "gather_1[0]/s0": {"answer": "01b8dac5-b68b-7052-af6d-46e56bea13f7"},
            "gather_3[0]/s3": {"outcome": "ok", "output": {}, "run_id": "01b8dac5-c24c-7648-8127-1636cb9584b4"},
        },
        "steps": {
            "gather_1[0]/s0": ("done", 1),
            "gather_1[1]/s1": ("done", 1),
            "gather_2[0]/s2": ("done", 1),
            "gather_3[0]/s3": ("done", 1),
        },
    },
    "python_paused_timed_out": {
        "end": ("failed", None),
        "outputs": {},
        "steps": {
            "gather_1[0]/s0": ("done", 2),
            "gather_1[0]/s0/undo": ("done", 1),
            "gather_3[0]/gather_1[0]/s2_0": ("done", 2),
            "gather_3[0]/gather_1[0]/s2_0/undo": ("done", 1),
            "gather_3[0]/gather_1[1]/s2_1": ("done", 2),
            "gather_3[0]/gather_1[1]/s2_1/undo": ("done", 1),
            "gather_3[0]/gather_1[2]/s2_2": ("done", 2),
            "gather_3[0]/gather_1[2]/s2_2/undo": ("done", 1),
            "gather_4[0]/s3": ("done", 1),
            "gather_4[1]/s4": ("failed", 1),
        },
    },
    "python_undone_and_retried": {
        "end": ("failed", None),
        "outputs": {"gather_1[2]/s3": {"event": {"n": 3, "step": "3"}}},
        "steps": {
            "gather_1[0]/s0": ("done", 1),
            "gather_1[0]/s0/undo": ("done", 1),
            "gather_1[1]/s1": ("done", 1),
            "gather_1[2]/s3": ("done", 1),
            "gather_2[0]/s2": ("failed", 1),
        },
    },
    "skipped": {
        "end": ("done", "ok"),
        "outputs": {"s0_ok": {"n": 1}},
        "steps": {"s0": ("done", 1), "s0_ok": ("done", 1), "s1": ("done", 1), "s2": ("bypassed", 0)},
    },
    "terminated": {
        "end": ("terminated", None),
        "outputs": {"s0_ok": {"n": 1}},
        "steps": {
            "s0": ("done", 2),
            "s0_ok": ("done", 1),
            "s1": ("cancelled", 1),
            "s1[0]/e": ("done", 2),
            "s1[1]/e": ("done", 2),
        },
    },
    "undone_and_retried": {
        "end": ("done", "ok"),
        "outputs": {"s1": {"turns": 2}, "s2_ok": {"n": 1}, "s3": {"answer": "01b8dac5-cf8d-71e3-b60e-2fbe5884d288"}},
        "steps": {
            "s0": ("done", 1),
            "s1": ("done", 1),
            "s1[0]/e": ("done", 1),
            "s1[1]/e": ("done", 1),
            "s2": ("done", 1),
            "s2_ok": ("done", 1),
            "s3": ("done", 1),
            "s4": ("done", 1),
        },
    },
    "effects_in_one_event": {
        "end": ("done", "ok"),
        "steps": {
            "gather_1[0]/s0": ("done", 1),
            "gather_1[1]/s1": ("done", 1),
            "gather_1[2]/s4": ("done", 1),
            "gather_2[0]/s2": ("done", 1),
            "gather_3[0]/gather_1[0]/s3_0": ("done", 1),
            "gather_3[0]/gather_1[1]/s3_1": ("done", 1),
            "gather_3[0]/gather_1[2]/s3_2": ("done", 1),
        },
        "outputs": {
            "gather_1[0]/s0": {"answer": "01b8dac5-b627-7980-bbd2-edc6c418a9eb"},
            "gather_1[1]/s1": {"run_id": "01b8dac5-b410-7172-b73f-b1ce674531bc", "outcome": "ok", "output": {}},
            "gather_2[0]/s2": {"event": {"n": 0, "step": "2"}},
        },
    },
    "governed_effects": {
        "end": ("done", "done"),
        "steps": {f"s{number}": ("done", 1) for number in range(5)},
        "outputs": {f"s{number}": {"pad": PAD} for number in range(5)},
    },
}
