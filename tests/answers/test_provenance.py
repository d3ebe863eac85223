"""Where answers come from: said, shown and marked in one way each."""

from __future__ import annotations

import pytest

from batchnb.answers.provenance import Provenance

pytestmark = pytest.mark.steady


def test_answers_of_the_api_bear_no_mark():
    real = Provenance.of(None)
    assert real is Provenance.API
    assert (real.word, real.badge, real.lead, real.marks) == ("real", "", "", {})
    assert not real.simulated
    assert not real.is_free


def test_simulated_answers_say_so_everywhere():
    simulated = Provenance.of("the id of a simulator")
    assert simulated is Provenance.SIMULATOR
    assert (simulated.word, simulated.badge, simulated.lead) == ("simulated", "SIMULATED", "[SIMULATED] ")
    assert simulated.marks == {"simulated": True}
    assert simulated.simulated
    assert simulated.is_free


def test_no_two_kinds_can_be_taken_for_each_other():
    assert len({kind.word for kind in Provenance}) == len({kind.badge for kind in Provenance}) == len(Provenance)
