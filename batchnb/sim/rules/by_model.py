"""What a model refuses in a request that others take: sampling, thinking, effort, forced tools, speed, geography.

Which model refuses what is in the table of `batchnb.sim.state.catalogue`; here are the words. Sources:
platform.claude.com documentation and errors seen in the field. Unverified: the words for ``between_tools``, for levels
of effort, for ``inference_geo`` and for task budgets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from batchnb.sim.rules.content import tagged
from batchnb.sim.state.catalogue import EFFORTS, KINDS_OF_THINKING, Model
from batchnb.sim.wire import invalid

_TOOL_CHOICES = ("auto", "any", "tool", "none")
_FORCED = ("any", "tool")
_MIN_THINKING_BUDGET = 1024
_FAST_BETA = "fast-mode-2026-02-01"
_BUDGET_BETA, _MIN_TASK_BUDGET = "task-budgets-2026-03-13", 20_000
_GEOGRAPHIES = ("global", "us")
#: What models that choose their sampling themselves take all the same: their default, written out.
_DEFAULT_SAMPLING = {"temperature": (1,), "top_p": (0.99, 1)}


def check_sampling(params: Mapping[str, Any], model: Model) -> None:
    """Raise ApiError for ``temperature``, ``top_p`` or ``top_k``, where the API's version takes them at all."""
    for name in ("temperature", "top_p", "top_k"):
        value = params.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid(f"{name}: Input should be a valid number")
        if not model.sampling and value not in _DEFAULT_SAMPLING.get(name, ()):
            raise invalid(f"`{name}` is deprecated for this model.")
        if name != "top_k" and not 0 <= value <= 1:
            raise invalid(f"{name}: range: 0..1")
    if params.get("temperature") is not None and params.get("top_p") is not None and model.sampling:
        raise invalid("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")


def check_thinking(value: object, model: Model, params: Mapping[str, Any]) -> None:
    """Raise ApiError for a kind of thinking that the model does not take, or one that does not go with the rest."""
    kind, setting = tagged(value, "thinking", KINDS_OF_THINKING)
    if kind not in model.thinking:
        if kind == "adaptive":
            raise invalid("adaptive thinking is not supported on this model")
        instead = (
            ' Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
            if kind == "enabled"
            else ""
        )
        raise invalid(f'"thinking.type.{kind}" is not supported for this model.{instead}')
    if kind != "enabled":
        return
    _check_budget(setting, params.get("max_tokens"))
    choice = params.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in _FORCED:
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    if params.get("temperature") not in (None, 1):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")


def _check_budget(setting: Mapping[str, Any], max_tokens: object) -> None:
    budget = setting.get("budget_tokens")
    if budget is None:
        raise invalid("thinking.enabled.budget_tokens: Field required")
    if isinstance(budget, bool) or not isinstance(budget, int):
        raise invalid("thinking.enabled.budget_tokens: Input should be a valid integer")
    if budget < _MIN_THINKING_BUDGET:
        raise invalid(
            f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_MIN_THINKING_BUDGET}"
        )
    if isinstance(max_tokens, int) and budget >= max_tokens:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")


def check_effort(effort: object, model: Model, thinking: object) -> None:
    """Raise ApiError for an effort that is none, or that the model does not take."""
    if effort is None:
        return
    if effort not in EFFORTS:
        raise invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    if not model.efforts:
        raise invalid("This model does not support the effort parameter.")
    if effort not in model.efforts:
        levels = ", ".join(model.efforts)
        raise invalid(f"This model does not support effort level '{effort}'. Supported levels: {levels}.")
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    # Models that think only when asked take it, as seen in the field.
    if model.thinks and kind in ("disabled", "between_tools") and effort in ("xhigh", "max"):
        raise invalid(
            f"output_config.effort '{effort}' is not supported when thinking is disabled on this model."
            " Use effort 'high' or below, or enable thinking."
        )


def check_task_budget(value: object, model: Model, betas: Collection[str]) -> None:
    """Raise ApiError for an ``output_config.task_budget`` that the API would refuse."""
    if value is None:
        return
    where = "output_config.task_budget"
    if _BUDGET_BETA not in betas:
        raise invalid(f"{where}: Extra inputs are not permitted")
    if model.sampling:
        raise invalid(f"'{model.id}' does not support the `task_budget` parameter.")
    _, budget = tagged(value, where, ("tokens",))
    for name in ("total", "remaining"):
        tokens = budget.get(name)
        if tokens is None and name == "remaining":
            continue
        if isinstance(tokens, bool) or not isinstance(tokens, int):
            raise invalid(f"{where}.tokens.{name}: Input should be a valid integer")
    if budget["total"] < _MIN_TASK_BUDGET:
        raise invalid(f"{where}.tokens.total: Input should be greater than or equal to {_MIN_TASK_BUDGET}")


def check_tool_choice(value: object, model: Model, tools: object) -> None:
    """Raise ApiError for a ``tool_choice`` that the API would refuse."""
    kind, choice = tagged(value, "tool_choice", _TOOL_CHOICES)
    if kind in _FORCED and not model.forced_tool:
        raise invalid('tool_choice: type "tool" and "any" are not supported for this model.')
    if kind in _FORCED and not tools:
        raise invalid("tool_choice: `tool_choice` may only be specified while providing `tools`.")
    if kind == "tool" and isinstance(tools, list):
        name = choice.get("name")
        if name not in [tool.get("name") for tool in tools]:
            raise invalid(f"Tool '{name}' not found in provided tools")


def check_speed(value: object, model: Model, endpoint: str, betas: Collection[str]) -> None:
    """Raise ApiError for a ``speed`` that the API would refuse."""
    if value not in ("standard", "fast"):
        raise invalid("speed: Input should be 'standard' or 'fast'")
    if value == "standard":
        return
    if endpoint == "batch":
        raise invalid("speed: 'fast' is not supported in the Message Batches API")
    if not model.fast:
        raise invalid(f"'{model.id}' does not support the `speed` parameter.")
    if model.fast == "beta" and _FAST_BETA not in betas:
        raise invalid("speed: Extra inputs are not permitted")


def check_geography(value: object, model: Model) -> None:
    """Raise ApiError for an ``inference_geo`` that the API would refuse."""
    if not model.geography:
        raise invalid(f"'{model.id}' does not support the `inference_geo` parameter.")
    if value not in _GEOGRAPHIES:
        raise invalid("inference_geo: Input should be 'global' or 'us'")
