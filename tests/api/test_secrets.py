"""No key, token, password or user info in anything that is written, printed or raised."""

from __future__ import annotations

import io
import sys
import warnings

import pandas as pd
import pytest
from leaks import KEY, Leaks, assert_nothing_leaked

from batchnb.errors import InputError
from batchnb.jobs import defaults

TOKEN = "tok-Hd72kQpZx0Wv5RmYbTn3-LsJf8GcUeAi9"


@pytest.fixture
def leaks() -> Leaks:
    return Leaks(KEY, TOKEN)


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment with a key, a token, and a proxy with a password."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")


def shown(error: BaseException) -> list[str]:
    """The ways in which tools show a traceback with the values in it."""
    kind, trace = type(error), error.__traceback__
    texts = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cgitb

        from IPython.core.ultratb import VerboseTB

    verbose = VerboseTB(include_vars=True)
    texts.append("\n".join(verbose.structured_traceback(kind, error, trace)))
    texts.append(cgitb.text((kind, error, trace)))
    try:
        from rich.console import Console
        from rich.traceback import Traceback
    except ImportError:
        return texts
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(Traceback.from_exception(kind, error, trace, show_locals=True))
    return [*texts, console.export_text()]


@pytest.mark.usefixtures("keyed")
def test_a_typo_in_a_setting_shows_no_key_in_a_traceback_with_locals(monkeypatch, leaks):
    defaults.default_workspace()
    monkeypatch.setenv("BATCHNB_MAX_POLL", "3o")
    with pytest.raises(InputError, match="BATCHNB_MAX_POLL is a number of seconds, not '3o'") as caught:
        pd.DataFrame({"text": ["a"]}).batch.submit("text", progress=False)
    assert_nothing_leaked(leaks, texts=shown(caught.value), exceptions=[caught.value])
    assert "default_workspace" in "".join(shown(caught.value)), "the frames in question were shown"


def test_what_was_pasted_into_the_wrong_variable_is_not_repeated(monkeypatch, leaks):
    monkeypatch.setenv("BATCHNB_MAX_POLL", KEY)
    with pytest.raises(InputError, match="BATCHNB_MAX_POLL is a number of seconds") as caught:
        defaults.default_workspace()
    assert_nothing_leaked(leaks, exceptions=[caught.value])


@pytest.mark.parametrize("variable", ["BATCHNB_MAX_POLL", "BATCHNB_RECONCILE_GRACE"])
@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-1", "1e300", "1e9", "often", "0x10", "1,5", "5 s"])
def test_a_setting_that_is_no_number_of_seconds_is_refused_before_anything_is_recorded(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(InputError, match=f"{variable} is a number of seconds"):
        pd.DataFrame({"text": ["a"]}).batch.submit("text", progress=False)


@pytest.mark.parametrize("variable", ["BATCHNB_MAX_POLL", "BATCHNB_RECONCILE_GRACE", "BATCHNB_MODEL"])
def test_a_setting_that_is_empty_is_none(monkeypatch, variable):
    unset = defaults.default_workspace().session
    monkeypatch.setenv(variable, "")
    empty = defaults.default_workspace().session
    assert (empty.timing, empty.model) == (unset.timing, unset.model)


def test_another_key_makes_another_workspace_and_the_same_one_the_same(monkeypatch, leaks):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    first = defaults.default_workspace()
    assert defaults.default_workspace() is first
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY[:-1])
    second = defaults.default_workspace()
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    third = defaults.default_workspace()
    assert len({id(first), id(second), id(third)}) == 3
    assert_nothing_leaked(
        leaks, texts=[repr(first), repr(vars(first)), repr(vars(sys.modules["batchnb.jobs.defaults"]))]
    )
