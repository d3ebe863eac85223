"""How long the model may think, and how hard it should try: by name or number to what the API takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batchnb.errors import NOT_SENT, InputError
from batchnb.questions.scalars import whole

__all__ = ["EFFORTS", "THINKING_ROOM", "check_budget", "checked_effort", "room_to_think", "thinking_of"]

#: ``output_config.effort`` (types of anthropic 2.14).
EFFORTS = ("low", "medium", "high", "xhigh", "max")

#: Kinds of thinking without a further number (types of anthropic 2.14).
NAMED = ("adaptive", "disabled", "between_tools")

#: The smallest budget (types of anthropic 2.14).
LEAST_BUDGET = 1024

#: Tokens that a reply's default max_tokens is raised by where the model decides how much to think: thinking counts
#: towards max_tokens, so that a label's 256 would be spent before the label. Ours; the API has no such number.
THINKING_ROOM = 4096


def thinking_of(value: Any) -> dict[str, Any]:
    """Return ``thinking=`` as the API takes it.

    Parameters
    ----------
    value : str, int or mapping
        ``"adaptive"``, ``"disabled"`` or ``"between_tools"``; a budget in tokens; or what the API takes, as it is.

    Raises
    ------
    InputError
        It is none of these.
    """
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str) and value in NAMED:
        return {"type": value}
    if (budget := whole(value)) is not None:
        return {"type": "enabled", "budget_tokens": budget}
    hint = " With a number of tokens, such as thinking=4096, it is enabled." if value in ("enabled", True) else ""
    raise InputError(
        'thinking= takes "adaptive", "disabled", how many tokens the model may think at most, or a dict as the API '
        f"takes it; not {value!r}.{hint} {NOT_SENT}"
    )


def checked_effort(value: Any) -> str:
    """Return ``effort=``, once it is known to be one.

    Raises
    ------
    InputError
        It is none.
    """
    if not isinstance(value, str) or value not in EFFORTS:
        raise InputError(
            f"effort= takes {', '.join(map(repr, EFFORTS[:-1]))} or {EFFORTS[-1]!r}, not {value!r}. {NOT_SENT}"
        )
    return value


def room_to_think(thinking: Any, *, asked: bool) -> int:
    """Tell by how many tokens a default of max_tokens is raised, so that thinking leaves the reply its room.

    Parameters
    ----------
    thinking : mapping or None
        As the API takes it.
    asked : bool
        Whether it was given by ``thinking=``. What stands in params is sent as it is: there, only a budget raises the
        default, without which the API would refuse it.
    """
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        return budget if isinstance(budget, int) and not isinstance(budget, bool) else 0
    return THINKING_ROOM if kind == "adaptive" and asked else 0


def check_budget(params: Mapping[str, Any], betas: Sequence[str]) -> None:
    """Refuse a budget that the API would: below 1,024 tokens, or not below max_tokens.

    Parameters
    ----------
    params : mapping
        Whole params, or those shared.
    betas : sequence of str
        With interleaved thinking, a budget is that of several replies, and may be more than max_tokens
        (platform.claude.com documentation, "Extended thinking").

    Raises
    ------
    InputError
        It would be refused.
    """
    thinking = params.get("thinking")
    if not isinstance(thinking, Mapping) or thinking.get("type") != "enabled":
        return
    budget, most = thinking.get("budget_tokens"), params.get("max_tokens")
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < LEAST_BUDGET:
        raise InputError(f"thinking takes a budget of at least {LEAST_BUDGET:,} tokens, not {budget!r}. {NOT_SENT}")
    if isinstance(most, int) and budget >= most and not any(beta.startswith("interleaved-thinking") for beta in betas):
        raise InputError(
            f"thinking may take {budget:,} tokens, which must be fewer than max_tokens ({most:,}): thinking counts "
            f"towards it. Raise max_tokens, or leave it out: its default then leaves room for the reply. {NOT_SENT}"
        )
