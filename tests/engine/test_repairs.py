"""The words in which an act that mends something is shown."""

from __future__ import annotations

import pytest

from toril.engine.contract import Repair


@pytest.mark.parametrize(
    ("repair", "text"),
    [
        (
            Repair("mail", "remove_ids", ["7", "9"], "wait"),
            "mail: remove from wait 2 ids whose job is gone (7, 9)",
        ),
        (
            Repair("mail", "take_back", ["7"]),
            "mail: put back in line 1 job whose lease has ended (7)",
        ),
        (
            Repair("mail", "restore", ["7"], "completed"),
            "mail: put into completed 1 job that is in no state (7)",
        ),
        (
            Repair("mail", "restore", ["7", "8"], "wait"),
            "mail: put into wait 2 jobs that are in no state (7, 8)",
        ),
        (
            Repair("mail", "remove_rest", ["7"]),
            "mail: remove what is left of 1 job that is gone (7)",
        ),
        (
            Repair("a", "remove_rest", [str(number) for number in range(1200)]),
            "a: remove what is left of 1,200 jobs that are gone (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …)",
        ),
    ],
)
def test_act_is_one_line(repair: Repair, text: str) -> None:
    assert repair.text == text
