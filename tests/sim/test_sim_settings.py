"""What a simulator is made with: whatever makes no sense is said before anything is opened or written."""

from __future__ import annotations

import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import batchnb
from batchnb import InputError
from batchnb.jobs import defaults
from batchnb.sim import Fault, Limits, Simulator


class _Odd:
    def __fspath__(self) -> str:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


class _Nonsense:
    def __fspath__(self) -> int:
        return 5


WRONG: list[tuple[str, Any, str]] = [
    *(("state", value, "state is the path of a folder") for value in (5, b"x", 1.5, [], "", True, _Odd(), _Nonsense())),
    *(
        ("delay", value, r"delay is \(shortest, longest\) in seconds")
        for value in (
            "abc", "12", b"ab", 5, None, (), (1,), (1, 2, 3), (2, 1), (-1, 1), (1, float("inf")), (float("nan"), 1),
            ("1", "2"), {"a": 1, "b": 2}, (None, 1), (True, True), np.array([[1, 2], [3, 4]]), (1, 10**400),
        )
    ),
    *(("speed", value, "speed is a positive factor") for value in (
        0, -1, "2", None, float("nan"), float("inf"), [1], 1j, _Odd())),
    *(("seed", value, "seed is a whole number") for value in ("x", 1.5, b"1", [1], True)),
    *(("noise", value, "noise is a number from 0") for value in (-1, "1", None, float("nan"), 11, True)),
    *(("responder", value, "responder is a function") for value in (5, "x", {})),
]  # fmt: skip

OF_THE_CLASS: list[tuple[str, Any, str]] = [
    *(("port", value, "port is a port from 0 to 65535") for value in (-1, 65_536, "80", 1.0, None, True)),
    *(("cache_hits", value, "cache_hits is a share") for value in (-0.1, 1.1, "x", None, float("nan"))),
    *(
        ("faults", value, "faults is a list of Fault|each of faults is a Fault")
        for value in (5, None, "reset", ["reset"])
    ),
    *(("models", value, "models is a list of Model|each of models is a Model") for value in (5, None, ["x"])),
    *(("limits", value, "limits is a Limits") for value in (5, {}, "x")),
    ("clock", 5, "clock is an object with now"),
]


@pytest.mark.parametrize(("name", "value", "said"), [*WRONG, *OF_THE_CLASS])
def test_an_argument_of_the_simulator_that_makes_no_sense_is_said(name, value, said):
    with pytest.raises(ValueError, match=f"{said}.*, not "):
        Simulator(**{name: value})


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_an_argument_of_simulate_that_makes_no_sense_is_an_input_error(name, value, said, tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHNB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(defaults, "_simulation", None)
    monkeypatch.setattr(defaults, "_not_started", None)
    with pytest.raises(InputError, match=rf"In simulate\(\), {said}"):
        batchnb.simulate(**{name: value})
    assert not list(tmp_path.glob("*.db"))


@pytest.mark.parametrize("state", ["\ud800", "a\0b"])
def test_a_state_folder_that_no_disk_can_name_is_said(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match=r"the state folder .* cannot be used"):
        Simulator(state).start()
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_any_kind_and_paths_of_any_kind_are_taken(tmp_path: Path):
    delay: Any = np.array([0, 1])
    speed: Any = decimal.Decimal(2)
    with Simulator(tmp_path / "x", delay=delay, speed=speed, seed=np.int64(3), port=np.int64(0)) as simulator:
        assert simulator.url


@pytest.mark.parametrize(
    "options",
    [
        {"times": "x"},
        {"times": -2},
        {"after": -1},
        {"share": 2},
        {"share": "x"},
        {"seconds": None},
        {"retry_after": "x"},
    ],
)
def test_a_number_of_a_fault_that_makes_no_sense_is_said(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is .*, not "):
        Fault("reset", **options)
    with pytest.raises(ValueError, match="unknown fault"):
        Fault(["reset"])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["requests", "bytes", "queued", "expires_after", "image_bytes", "storage_bytes"])
def test_a_limit_that_makes_no_sense_is_said(name):
    for value in ("x", -1, [1]):
        with pytest.raises(ValueError, match=rf"{name} is .*, not "):
            Limits(**{name: value})
