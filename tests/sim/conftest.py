"""What the simulator's own tests have beside the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from simulation import sdk

from batchnb.sim import Simulator

if TYPE_CHECKING:
    import anthropic


@pytest.fixture
def client(simulator: Simulator) -> Iterator[anthropic.Anthropic]:
    """The official client on it, which refuses answers of a wrong shape, and does not retry."""
    with sdk(simulator) as strict:
        yield strict
