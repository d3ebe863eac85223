"""What the API refuses in the parameters of a message, and in which words.

One validator serves ``POST /v1/messages`` and ``count_tokens`` (where a refusal is a 400) and the rows of a batch
(where it is an ``errored`` row once the batch has ended).

Sources: platform.claude.com documentation and anthropic 2.12.0 for the rules; the wording follows messages seen in
the field where there are any, and is unverified elsewhere. Rules that cannot be confirmed are left out: the simulator
would rather let a doubtful request pass than teach a false rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from batchnb.sim.model.thinking import Thinking, thinking_of
from batchnb.sim.rules import by_model, parameters, schemas
from batchnb.sim.rules.attachments import Attachments, no_files
from batchnb.sim.rules.content import check_breakpoints, check_messages, check_system, tagged
from batchnb.sim.rules.media import Content
from batchnb.sim.state.catalogue import Catalogue, Model
from batchnb.sim.wire import ApiError, invalid

_REMEMBERED = 100_000  # bytes of a schema that is kept in memory
#: The beta under which the older name of `output_config.format` is taken, by libraries that still use it.
_OLDER_FORMAT = "structured-outputs-2025-11-13"
_LONG_OUTPUT, _LONGEST_OUTPUT = "output-300k-2026-03-24", 300_000  # the beta, for batches only


class Accepted(NamedTuple):
    """A request that the API would take.

    Parameters
    ----------
    read
        Its parameters as a model reads them: where they hold images and documents, with the tokens of these, and with
        the text of text files.
    model
        The canonical id of the model.
    window
        Its context window, in tokens; None where that is not checked.
    thinking
        How it thinks about the request; None where it does not.
    """

    read: Mapping[str, Any]
    model: str
    window: int | None = None
    thinking: Thinking | None = None

    def check_length(self, tokens: int) -> None:
        """Raise ApiError for a request of more tokens than the model reads."""
        if self.window is not None and tokens > self.window:
            raise invalid(f"prompt is too long: {tokens} tokens > {self.window} maximum")


@dataclass(frozen=True)
class Validator:
    """Checks requests against the models and files that there are.

    Parameters
    ----------
    catalogue
        The models.
    content_of
        Returns what an uploaded file holds; raises the 404 where there is none.
    image_bytes
        The largest image.
    """

    catalogue: Catalogue = field(default_factory=Catalogue)
    content_of: Callable[[str], Content] = no_files
    image_bytes: int = 5 * 1024 * 1024

    def check(
        self, params: object, endpoint: str, *, version: str, beta: bool = False, betas: Collection[str] = ()
    ) -> Accepted:
        """Raise the error that the API would give for these parameters; return quietly when it would take them.

        Parameters
        ----------
        params
            The decoded JSON: a request's body, or a batch row's ``params``.
        endpoint
            ``"messages"``, ``"batch"`` or ``"count_tokens"``.
        version
            The ``anthropic-version`` that the client named.
        beta
            Whether the client used the beta namespace, which takes more parameters.
        betas
            The values of its ``anthropic-beta`` header.

        Raises
        ------
        ApiError
            With the API's type and message.
        """
        if not isinstance(params, dict):
            raise invalid("Input should be an object")
        if "output_format" in params and _OLDER_FORMAT in betas:
            params = _with_todays_format(params)
        _check_names(params, endpoint, parameters.allowed(endpoint, version=version, beta=beta))
        model = self._model(params["model"], endpoint)
        if endpoint != "count_tokens":
            _check_max_tokens(params["max_tokens"], model, endpoint, betas)
            by_model.check_sampling(params, model)
        attachments = Attachments(self.content_of, self.image_bytes)
        check_messages(params["messages"], attachments, prefill=model.prefill)
        attachments.check_together(model)
        if params.get("system") is not None:
            check_system(params["system"])
        if len(params) > (2 if endpoint == "count_tokens" else 3):  # more than what has been seen above
            _check_options(params, endpoint, model, betas)
        check_breakpoints(params)
        return Accepted(attachments.read(params), model.id, model.window, thinking_of(params, model))

    def _model(self, name: object, endpoint: str) -> Model:
        if not isinstance(name, str):
            raise invalid("model: Input should be a valid string")
        if not name:
            raise invalid("model: String should have at least 1 character")
        model = self.catalogue.find(name)
        if model is None or model.lifecycle == "retired":
            raise ApiError("not_found_error", f"model: {name}")
        if endpoint == "batch" and not model.batch:
            raise invalid(f"'{model.id}' does not support the Message Batches API.")
        return model


def _with_todays_format(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with the older ``output_format``, which is taken with its beta, as ``output_config.format``."""
    rest = {name: value for name, value in params.items() if name != "output_format"}
    config = rest.get("output_config") or {}
    if not isinstance(config, dict) or params["output_format"] is None:
        return rest
    if config.get("format") is not None:
        raise invalid("output_format: Use output_config.format or output_format, not both")
    return {**rest, "output_config": {**config, "format": params["output_format"]}}


def _check_names(params: Mapping[str, Any], endpoint: str, allowed: frozenset[str]) -> None:
    required = ("model", "messages") if endpoint == "count_tokens" else ("model", "messages", "max_tokens")
    for name in required:
        if name not in params:
            raise invalid(f"{name}: Field required")
    for name in params:
        # Clients that write a null for an unset temperature are let through: whether the API does is unverified.
        if name not in allowed and not (name in parameters.SAMPLING and params[name] is None):
            raise invalid(f"{name}: Extra inputs are not permitted")


def _check_max_tokens(value: object, model: Model, endpoint: str, betas: Collection[str]) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid("max_tokens: Input should be a valid integer")
    least = 1 if endpoint == "batch" else 0  # zero only fills the cache, and is not taken in a batch
    if value < least:
        raise invalid(f"max_tokens: must be greater than or equal to {least}")
    most = model.output
    if endpoint == "batch" and _LONG_OUTPUT in betas and model.long_output:
        most = max(most, _LONGEST_OUTPUT)
    if value > most:
        raise invalid(
            f"max_tokens: {value} > {most}, which is the maximum allowed number of output tokens for {model.id}"
        )


def _check_options(params: Mapping[str, Any], endpoint: str, model: Model, betas: Collection[str]) -> None:
    if params.get("stream") is not None:
        _check_stream(params["stream"], endpoint)
    if params.get("speed") is not None:
        by_model.check_speed(params["speed"], model, endpoint, betas)
    if params.get("inference_geo") is not None:
        by_model.check_geography(params["inference_geo"], model)
    if params.get("stop_sequences") is not None:
        _check_stop_sequences(params["stop_sequences"])
    if params.get("thinking") is not None:
        by_model.check_thinking(params["thinking"], model, params)
    if params.get("output_config") is not None:
        _check_output_config(params["output_config"], model, params, betas)
    if params.get("tools") is not None:
        _check_tools(params["tools"], model)
    if params.get("tool_choice") is not None:
        by_model.check_tool_choice(params["tool_choice"], model, params.get("tools") or ())
    if params.get("service_tier") not in (None, "auto", "standard_only"):
        raise invalid("service_tier: Input should be 'auto' or 'standard_only'")
    _check_metadata(params.get("metadata"))


def _check_stream(value: object, endpoint: str) -> None:
    if not isinstance(value, bool):
        raise invalid("stream: Input should be a valid boolean")
    if value and endpoint == "batch":
        raise invalid('"stream=True" is not supported in the Message Batches API')


def _check_stop_sequences(value: object) -> None:
    if not isinstance(value, list):
        raise invalid("stop_sequences: Input should be a valid array")
    for i, text in enumerate(value):
        if not isinstance(text, str):
            raise invalid(f"stop_sequences.{i}: Input should be a valid string")
        if not text.strip():
            raise invalid("stop_sequences: each stop sequence must contain non-whitespace")


def _check_output_config(value: object, model: Model, params: Mapping[str, Any], betas: Collection[str]) -> None:
    if not isinstance(value, dict):
        raise invalid("output_config: Input should be an object")
    for name in value:
        if name not in ("effort", "format", "task_budget"):
            raise invalid(f"output_config.{name}: Extra inputs are not permitted")
    by_model.check_effort(value.get("effort"), model, params.get("thinking"))
    by_model.check_task_budget(value.get("task_budget"), model, betas)
    layout = value.get("format")
    if layout is None:
        return
    tagged(layout, "output_config.format", ("json_schema",))
    if not model.structured_outputs:
        raise invalid(f"'{model.id}' does not support structured outputs.")
    if not isinstance(layout.get("schema"), dict):
        raise invalid("output_config.format.schema: Field required")
    _check_schema(layout["schema"], "output_config.format.schema", strict=True)


def _check_schema(schema: dict[str, Any], where: str, *, strict: bool) -> None:
    # Every row of a batch tends to bring the same schema, and walking it costs more than the rest of the check.
    encoded = msgspec.json.encode(schema)
    look = _complaint if len(encoded) <= _REMEMBERED else _complaint.__wrapped__
    if complaint := look(encoded, strict):
        raise invalid(f"{where}: {complaint}")


@lru_cache(maxsize=256)
def _complaint(encoded: bytes, strict: bool) -> str | None:
    schema = msgspec.json.decode(encoded)
    return schemas.malformed(schema) or (schemas.complaint(schema) if strict else None)


def _check_tools(tools: object, model: Model) -> None:
    if not isinstance(tools, list):
        raise invalid("tools: Input should be a valid array")
    names: set[str] = set()
    for i, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise invalid(f"tools.{i}: Input should be an object")
        if tool.get("type") in (None, "custom"):
            _check_custom_tool(tool, f"tools.{i}.custom", model)
        name = tool.get("name")
        if isinstance(name, str):
            if name in names:
                raise invalid("tools: Tool names must be unique.")
            names.add(name)


def _check_custom_tool(tool: Mapping[str, Any], where: str, model: Model) -> None:
    for name in ("name", "input_schema"):
        if name not in tool:
            raise invalid(f"{where}.{name}: Field required")
    schema = tool["input_schema"]
    if not isinstance(schema, dict):
        raise invalid(f"{where}.input_schema: Input should be an object")
    if "type" not in schema:
        raise invalid(f"{where}.input_schema.type: Field required")
    if schema["type"] != "object":
        raise invalid(f"{where}.input_schema.type: Input should be 'object'")
    if tool.get("strict") and not model.structured_outputs:
        raise invalid(f"'{model.id}' does not support strict tools.")
    _check_schema(schema, f"{where}.input_schema", strict=bool(tool.get("strict")))


def _check_metadata(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise invalid("metadata: Input should be an object")
    for name in value:
        if name != "user_id":
            raise invalid(f"metadata.{name}: Extra inputs are not permitted")
    if not isinstance(value.get("user_id"), str | None):
        raise invalid("metadata.user_id: Input should be a valid string")
