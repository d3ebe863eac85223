"""A row is never lost and never bought twice: the ledger and the protocol under whatever may happen, in any order.

A state machine runs cells, steps the watchers of two processes, kills them, and lets the server fail; after every step
the ledger's file and the server's account are checked. ``LEDGER_MACHINE_EXAMPLES=5000`` makes it look longer, and
elsewhere each time.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings, stateful
from ledger_machine import (
    EXAMPLES,
    THOROUGH,
    LedgerMachine,
)

pytestmark = pytest.mark.steady


def test_no_row_is_lost_or_bought_twice_whatever_happens_and_in_whatever_order():
    stateful.run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=60 if THOROUGH else 40, deadline=None,
            derandomize=not THOROUGH, database=None, suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )  # fmt: skip
