"""Whose answers a ledger keeps: one address is one ledger, however it is spelled."""

from __future__ import annotations

import anthropic
import pytest

from batchnb import Workspace
from batchnb.api.addresses import plain_url


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        ("https://host:443", "https://host"),
        ("https://HOST:443/v9/", "https://host/v9"),
        ("http://host:80", "http://host"),
        ("https://host:80", "https://host:80"),
        ("http://host:443", "http://host:443"),
        ("https://[::1]:443/", "https://[::1]"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://someone:secret@host:443/?a=b", "https://host"),
    ],
)
def test_a_port_that_goes_without_saying_is_not_said(spelled: str, plain: str, tmp_path):
    assert plain_url(spelled) == plain
    if "[::1]" not in spelled:  # it is asked whether it is a simulator
        with anthropic.Anthropic(api_key="k", base_url=spelled) as client:
            workspace = Workspace(client, home=tmp_path)
            assert workspace.scope == plain
            workspace.close()
