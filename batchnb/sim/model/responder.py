"""The simulator's default answers: reads a Messages API request and replies sensibly, without a model.

Everything here is pure: the reply depends on the request and on the random numbers passed in, on nothing else.
"""

from __future__ import annotations

import json
import random
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from batchnb.sim.model.free_text import answer_in_words
from batchnb.sim.model.labels import choose, shared_words
from batchnb.sim.model.noise import Noise, noise_of
from batchnb.sim.model.prompt_schema import asked_json
from batchnb.sim.model.prompts import Question, enumerated_labels, last_user_text, read_question, texts_of
from batchnb.sim.model.schema_values import build
from batchnb.sim.rules import media
from batchnb.sim.rules.media import TOKENS

__all__ = ["Reply", "count_tokens", "respond", "text_tokens"]

_ECHO = "Echo: "
_MARK = "[simulated] "
_SIGNATURE = "c2ltdWxhdGVkLW5vdC1hLXJlYWwtc2lnbmF0dXJl"
_ABOUT_SENTIMENT = re.compile(r"sentiment|positive or negative|감정|긍정|情感|情绪", re.IGNORECASE)
#: The scripts in which one character is about one token.
_WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00010000-\U0003ffff]+")
#: Other letters beyond ASCII (Cyrillic, Arabic, accents, dashes) are about two to a token.
_NARROW = re.compile(r"[\u0080-\u10ff\u1200-\u2e7f]+")
#: Quarter tokens: an ASCII character, one of `_NARROW`, one of `_WIDE`.
_ASCII_QUARTERS, _NARROW_QUARTERS, _WIDE_QUARTERS = 1, 2, 4

#: What is said of a tool that takes the answer itself, by libraries that ask for structured answers.
_TAKES_THE_ANSWER = re.compile(
    r"\bfinal (?:result|response|answer|output)|\bstructured (?:response|output|answer)", re.I
)
#: More of a prompt than this is not looked at for words that fit a tool.
_PROMPT_CHARS = 4_000
_MESSAGE_TOKENS = 4
_REQUEST_TOKENS = 3
_SYSTEM_TOKENS = 5
_TOOLS_TOKENS = 340
_SCHEMA_TOKENS = 120


@dataclass(frozen=True)
class Reply:
    """The part of a message that depends on the request.

    Parameters
    ----------
    content : list of dict
        Content blocks: ``text``, ``thinking``, ``tool_use``.
    stop_reason : str
        ``end_turn``, ``tool_use``, ``max_tokens`` or ``stop_sequence``.
    input_tokens, output_tokens : int
        Estimates. `output_tokens` never exceeds the request's ``max_tokens``.
    stop_sequence : str or None
        The sequence that ended the reply, where one did.
    thinking_tokens : int or None
        How many of `output_tokens` the model thought.
    """

    content: list[dict[str, Any]]
    stop_reason: str
    input_tokens: int
    output_tokens: int
    stop_sequence: str | None = None
    thinking_tokens: int | None = None


def respond(params: Mapping[str, Any], rng: random.Random, *, seed: int = 0, noise: float = 1.0) -> Reply:
    """Answer a Messages API request.

    A request with a JSON schema, or with one in its words, gets a value that fits it, a tool that is forced or that the
    words call for a fitting input, ``Echo: ...`` exactly the text that follows, everything else a short text that says
    it is simulated. Labels are chosen by simple word evidence: good enough to teach and to test with, and wrong often
    enough that accuracy is a figure worth printing. Where a text says little, models, prompts and requests come to
    different answers, as they do with real models; where it is plain, to the same.

    Parameters
    ----------
    params : mapping
        The request. Fields that are missing or malformed are taken as absent; validation is not done here.
    rng : random.Random
        The request's own. Decides what a real model leaves open: whether it thinks first, ids, and how this request is
        read otherwise than another one like it.
    seed : int
        Decides how a text, a model and a prompt are read, whatever the request.
    noise : float
        How much answers vary: 1 as a model's do, 0 not at all.

    Returns
    -------
    Reply
        The same for the same `params` and `seed` and an equally seeded `rng`.
    """
    budget = _budget(params)
    thinking = _thinking(params, rng)
    content: list[dict[str, Any]] = []
    spent = 0
    if thinking:
        thought = cut_to_tokens(thinking, budget)
        spent = text_tokens(thought)
        content.append({"type": "thinking", "thinking": thought, "signature": _SIGNATURE})
        if spent >= budget:
            return Reply(content, "max_tokens", count_tokens(params), spent)

    def noise_about(passage: str, instruction: str) -> Noise:
        return noise_of(params, passage, instruction, seed=seed, rng=rng, amount=noise)

    tool = _chosen_tool(params)
    if tool is not None:
        block, stop_reason, used = _tool_use(tool, read_question(params, noise_about), budget - spent, rng)
        return Reply([*content, block], stop_reason, count_tokens(params), spent + used)
    text, stop_reason, stopped_by = _ended(_text(params, noise_about), budget - spent, params.get("stop_sequences"))
    content.append({"type": "text", "text": text})
    return Reply(content, stop_reason, count_tokens(params), max(1, spent + text_tokens(text)), stopped_by)


def count_tokens(params: Mapping[str, Any]) -> int:
    """Estimate the input tokens of a request.

    About four ASCII characters to a token, one character of Korean, Chinese or Japanese, and something for every
    message, the system prompt, tools and a schema; images by their size and PDFs by their pages, where they are known
    (see `batchnb.sim.rules.media`). No tokenizer's figure.
    """
    total = _REQUEST_TOKENS + _content_tokens(params.get("system"))
    if params.get("system"):
        total += _SYSTEM_TOKENS
    messages = params.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            total += _MESSAGE_TOKENS + _content_tokens(message.get("content"))
    if tools := params.get("tools"):
        total += _TOOLS_TOKENS + text_tokens(_json(tools))
    if (schema := _output_schema(params)) is not None:
        total += _SCHEMA_TOKENS + text_tokens(_json(schema))
    return total


def text_tokens(text: str) -> int:
    """Estimate the tokens of a text."""
    return -(-_quarters(text) // 4)


def cut_to_tokens(text: str, tokens: int) -> str:
    """Return the longest beginning of a text that is at most so many tokens."""
    room = 4 * tokens
    if _quarters(text) <= room:
        return text
    if text.isascii():
        return text[:room]
    for position, character in enumerate(text):
        room -= _quarters(character)
        if room < 0:
            return text[:position]
    return text


def _quarters(text: str) -> int:
    if text.isascii():
        return len(text)
    # Taking runs out and measuring what is left needs no list of a large cell's characters.
    wide, narrow = len(text) - len(_WIDE.sub("", text)), len(text) - len(_NARROW.sub("", text))
    return len(text) + wide * (_WIDE_QUARTERS - _ASCII_QUARTERS) + narrow * (_NARROW_QUARTERS - _ASCII_QUARTERS)


def _content_tokens(content: object) -> int:
    total = sum(text_tokens(text) for text in texts_of(content))
    return total + _blocks_tokens(content)


def _blocks_tokens(content: object) -> int:
    if not isinstance(content, list):
        return 0
    return sum(_block_tokens(block) for block in content if isinstance(block, dict))


def _block_tokens(block: Mapping[str, Any]) -> int:
    """Estimate the tokens of what is not text in a block."""
    kind = block.get("type")
    if kind in ("image", "document"):
        source = block.get("source")
        return _source_tokens(source if isinstance(source, dict) else {}, kind)
    if kind == "tool_result":
        return _blocks_tokens(block.get("content"))
    if kind == "tool_use":
        return text_tokens(_json(block.get("input")))
    if kind == "thinking":
        return text_tokens(str(block.get("thinking", "")))
    return 0


def _source_tokens(source: Mapping[str, Any], kind: str) -> int:
    if isinstance(known := source.get(TOKENS), int):
        return known
    if source.get("type") == "text":
        return 0  # counted with the other texts
    if source.get("type") == "content":
        return _blocks_tokens(source.get("content"))
    if source.get("type") == "base64" and isinstance(source.get("data"), str):
        with suppress(ValueError):
            return media.inspect(b64decode(source["data"])).tokens
    return media.UNKNOWN_IMAGE_TOKENS if kind == "image" else media.PAGE_TOKENS


def _budget(params: Mapping[str, Any]) -> int:
    budget = params.get("max_tokens")
    return max(1, budget) if isinstance(budget, int) else 1_000_000


def _thinking(params: Mapping[str, Any], rng: random.Random) -> str:
    """Return what the reply thinks first, if anything: always when enabled, mostly when left to the model."""
    setting = params.get("thinking")
    kind = setting.get("type") if isinstance(setting, dict) else None
    if kind == "enabled" or (kind == "adaptive" and rng.random() < 0.75):
        return "(simulated thinking) Weigh the words of the text, then answer."
    return ""


def _chosen_tool(params: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the tool to call: the forced one, else the one whose words fit the last message best.

    A model that is free to choose calls none without such words, unless there is one that takes the answer itself, nor
    where it is to answer by a schema, to echo a text, or to read the result of an earlier call.
    """
    choice, tools = params.get("tool_choice"), params.get("tools")
    kind = choice.get("type") if isinstance(choice, dict) else "auto"
    if not isinstance(tools, list) or kind == "none":
        return None
    own = [tool for tool in tools if isinstance(tool, dict) and isinstance(tool.get("input_schema"), dict)]
    if kind == "tool" and isinstance(choice, dict):
        return next((tool for tool in own if tool.get("name") == choice.get("name")), None)
    prompt = last_user_text(params)
    fits: list[float] = [shared_words(_about(tool), prompt[:_PROMPT_CHARS]) for tool in own]
    # Behind all that could be called first.
    fits = [fit or 0.5 * bool(_TAKES_THE_ANSWER.search(_about(tool))) for fit, tool in zip(fits, own, strict=True)]
    if not own or (kind != "any" and (max(fits) == 0 or _is_for_text(params, prompt))):
        return None
    return own[fits.index(max(fits))]


def _about(tool: Mapping[str, Any]) -> str:
    fields = tool["input_schema"].get("properties")
    names = " ".join(str(name) for name in fields) if isinstance(fields, dict) else ""
    return f"{tool.get('name')} {tool.get('description', '')} {names}".replace("_", " ")


def _is_for_text(params: Mapping[str, Any], prompt: str) -> bool:
    if prompt.startswith(_ECHO) or _output_schema(params) is not None:
        return True
    messages = params.get("messages")
    last = messages[-1].get("content") if isinstance(messages, list) and isinstance(messages[-1], dict) else None
    return any(isinstance(block, dict) and block.get("type") == "tool_result" for block in last or ())


def _tool_use(
    tool: Mapping[str, Any], question: Question, budget: int, rng: random.Random
) -> tuple[dict[str, Any], str, int]:
    value = build(tool["input_schema"], question)
    value = value if isinstance(value, dict) else {}
    stop_reason = "tool_use"
    while value and text_tokens(_json(value)) > budget:
        # Cut at max_tokens, a tool's input lacks its last fields.
        stop_reason = "max_tokens"
        value.popitem()
    block = {"type": "tool_use", "id": f"toolu_01{rng.getrandbits(96):024x}", "name": tool.get("name"), "input": value}
    return block, stop_reason, text_tokens(_json(value))


def _output_schema(params: Mapping[str, Any]) -> Mapping[str, Any] | None:
    config = params.get("output_config")
    form = config.get("format") if isinstance(config, dict) else None
    if isinstance(form, dict) and form.get("type") == "json_schema" and isinstance(form.get("schema"), dict):
        schema: Mapping[str, Any] = form["schema"]
        return schema
    return None


def _text(params: Mapping[str, Any], noise_about: Callable[[str, str], Noise]) -> str:
    schema = _output_schema(params)
    if schema is not None:
        return _json(build(schema, read_question(params, noise_about)))
    prompt = last_user_text(params)
    if prompt.startswith(_ECHO):
        return prompt[len(_ECHO) :]
    asked = asked_json("\n".join(texts_of(params.get("system")))) or asked_json(prompt)
    if asked is not None:
        return _json(build(asked.schema, read_question(params, noise_about)))
    question = read_question(params, noise_about)
    labels = enumerated_labels(question.instruction)
    if not labels and _ABOUT_SENTIMENT.search(question.instruction):
        labels = ("positive", "negative", "neutral")
    if labels:
        return _MARK + labels[choose(labels, question)]
    return _MARK + answer_in_words(question)


def _ended(text: str, budget: int, sequences: object) -> tuple[str, str, str | None]:
    """Return a text as far as ``max_tokens`` and ``stop_sequences`` let it go, why it ends, and the sequence."""
    whole = cut_to_tokens(text, budget)
    reason, stopped_by = ("end_turn" if whole == text else "max_tokens"), None
    for sequence in sequences if isinstance(sequences, list) else ():
        if isinstance(sequence, str) and sequence and (at := whole.find(sequence)) >= 0:
            whole, reason, stopped_by = whole[:at], "stop_sequence", sequence
    return whole, reason, stopped_by


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (ValueError, OverflowError):
        # Lone surrogates and integers beyond 64 bits, both of which a JSON request may hold.
        return json.dumps(value)
