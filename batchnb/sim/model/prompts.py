"""Reads what a Messages API request asks, and about which text.

A request carries no mark between instruction and data ("Classify the sentiment (positive or negative) of this review:
..."), and the instruction repeats the names of the labels. Whoever judges the text by its words has to part the two
first; the rules here are guesses from the forms in which people write prompts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batchnb.sim.model.noise import NONE, Noise
from batchnb.sim.model.prompt_schema import asked_json
from batchnb.sim.model.sentiment import Evidence, weigh

__all__ = ["ASKING", "Question", "enumerated_labels", "is_request", "last_user_text", "read_question", "texts_of"]

#: More of a text than this adds no evidence, only time.
_JUDGED_CHARS = 20_000
#: Colons looked at before giving up: an instruction comes early.
_COLONS = 12


def _words(text: str) -> list[str]:
    return text.split()


_NOUN_WORDS = _words(
    "review text comment feedback message sentence passage tweet post input document article email mail ticket content"
    " excerpt snippet statement transcript response answer description paragraph headline quote below following"
)
_VERB_WORDS = _words(
    "classify label rate judge decide determine summarize summarise translate extract analyze analyse categorize"
    " categorise annotate tag assess evaluate identify detect score predict describe list tell give answer reply"
    " respond return choose pick select output write read say assign find state"
    " explain rewrite paraphrase rephrase draft compose"
)
_NOUNS, _VERBS = "|".join(_NOUN_WORDS), "|".join(_VERB_WORDS)
#: A clause that holds one of these, before a colon, introduces the data.
ASKING = frozenset([*_NOUN_WORDS, *(f"{noun}s" for noun in _NOUN_WORDS), *_VERB_WORDS, "sentiment"])
_CJK_ASKING = re.compile(
    r"리뷰|후기|문장|텍스트|댓글|다음|분류|감정|판단|요약|번역"
    r"|评论|文本|句子|内容|留言|下面|以下|评价|分类|判断|情感|总结|翻译"
)
#: ... unless it ends like this: then what follows is the list of labels, the format or an example.
_LISTING = re.compile(
    r"(?:\b(?:labels?|categor(?:y|ies)|options?|class(?:es)?|choices?|one|one of|either|values?|formats?|examples?|tags"
    r"|rules|these|output|answer|schema|json|keys)"
    r"|라벨|카테고리|중 하나|예시|标签|类别|选项|之一|例如|示例)(?: these)?\s*[*\"')\]]*$",
    re.IGNORECASE,
)
_STARTS_ASKING = re.compile(
    rf"\s*(?:please |kindly |now )?(?:(?:{_VERBS})\b|(?:is|are|does|do|did|what|which|how|would|has|was|your task"
    r"|you are|i want you)\b(?=[^\n]*\b(?:review|text|sentiment|following|label|positive|negative|customer|writer"
    r"|author|message|comment)\b))",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]+")
#: Neither a time of day ("10:30") nor an address ("https://").
_COLON = re.compile(r"[:：](?!//|(?<=\d:)\d)\**\s*")
_CLAUSE_START = re.compile(r"[\n。！？]|[.!?;](?=\s)")
_ANSWER_CUE = re.compile(
    r"\W*(?:(?:the |your |overall )?(?:sentiment|label|answer|category|class|classification|rating|output|result"
    r"|response|summary)|감정|답|라벨|분류|情感|标签|答案|分类|类别)\s*[:：]?\W*",
    re.IGNORECASE,
)
_OPEN_TAG = re.compile(r"<([A-Za-z][\w-]{0,40})>")
_DATA_TAG = re.compile(rf"(?:\w+[_-])?(?:{_NOUNS}|data|row|record|item|user|source)s?(?:[_-]\w+)?", re.IGNORECASE)
_FENCE = re.compile(r'```[\w-]*\n?(.*?)```|"""(.*?)"""', re.DOTALL)
_QUOTED = re.compile(r"\"([^\"\n]{2,4000})\"|“([^“”]{2,4000})”|「([^「」]{2,4000})」|'([^'\n]{12,4000})'")
#: Data in the middle of a question: 'Is the review "..." positive?'
_OPEN_QUOTE = re.compile(rf"\b(?:{_NOUNS})\s+[\"“]", re.IGNORECASE)
_CLOSE_QUOTES = {'"': '"', "“": "”"}
_FIRST_SENTENCE = re.compile(r"[.?!。？！](?=\s)\s*|[。？！]")

_ITEM = r"[^\W\d_][\w-]{0,30}(?: (?!or\b|and\b)[\w-]{1,20})?"
_ENUMERATION = re.compile(
    rf"({_ITEM}(?:\s*[,/|、，]\s*(?!or\b|and\b){_ITEM})+(?:\s*,?\s*(?:\bor\b|\band\b|또는|或者?|和)\s*{_ITEM})?"
    rf"|{_ITEM}\s+(?:or|또는|或者?)\s+{_ITEM})"
)
_ALTERNATIVE = re.compile(r"\bor\b|또는|或|/")
_CHOOSING = re.compile(
    r"\b(?:classif|categor|choos|choice|pick\b|select|label|tag\b|class(?:es)?\b|sentiment|options?\b|one of|either"
    r"|rate\b|decide|judge)|분류|감정|중 하나|라벨|선택|分类|情感|标签|选择|之一|判断",
    re.IGNORECASE,
)
_ENUM_SPLIT = re.compile(r"\s*[,/|、，]\s*(?:(?:or|and)\s+)?|\s+(?:or|and|또는|或者?|和)\s+")
_QUOTES = str.maketrans("", "", "\"'`“”‘’()[]*")


@dataclass(frozen=True, slots=True)
class Question:
    """A request, read.

    Parameters
    ----------
    passage : str
        The text to be judged, as far as it can be told from the instruction around it.
    instruction : str
        What stands before the passage in the last user message, after the system prompt.
    evidence : Evidence
        Sentiment words found in `passage`, as they are read this time.
    noise : Noise
        What else is read differently each time.
    alone : bool
        Whether the last user message is the passage and nothing else.
    """

    passage: str
    instruction: str
    evidence: Evidence
    noise: Noise = NONE
    alone: bool = False


def texts_of(content: object) -> Iterator[str]:
    """Yield the texts of a message's content: a string, or blocks of text, tool results and plain documents."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            if not isinstance(block, dict):
                continue
            if isinstance(block.get("text"), str):
                yield block["text"]
            elif block.get("type") in ("tool_result", "search_result"):
                yield from texts_of(block.get("content"))
            elif block.get("type") == "document":
                source = block.get("source")
                if isinstance(source, dict) and source.get("type") in ("text", "content"):
                    yield from texts_of(source.get("data", source.get("content")))


def _no_noise(_passage: str, _instruction: str) -> Noise:
    return NONE


def last_user_text(params: Mapping[str, Any]) -> str:
    """Return the text of the last user message (empty where it has none)."""
    messages = params.get("messages")
    if isinstance(messages, list):
        for message in reversed(messages):
            if isinstance(message, dict) and message.get("role") == "user":
                return "\n".join(texts_of(message.get("content")))
    return ""


def read_question(params: Mapping[str, Any], noise_about: Callable[[str, str], Noise] = _no_noise) -> Question:
    """Find the text to be judged in a request, and the instruction about it.

    Parameters
    ----------
    params
        The request.
    noise_about
        Gives the noise with which the text is read, by the text and its instruction. By default there is none.
    """
    prompt = last_user_text(params)[:_JUDGED_CHARS]
    if (asked := asked_json(prompt)) is not None:  # how the answer is to look is no part of the text
        prompt = prompt[: asked.start].rstrip(" \n:：") + prompt[asked.end :]
    start, end = _passage_span(prompt)
    passage = prompt[start:end].strip()
    system = "\n".join(texts_of(params.get("system")))[:_JUDGED_CHARS]
    around = prompt[:start] + " " + prompt[end:] if end < len(prompt) else prompt[:start]
    instruction = f"{system}\n{around}" if system else around
    noise = noise_about(passage, instruction)
    return Question(passage, instruction, noise.evidence(weigh(passage), len(passage)), noise, not around.strip())


def is_request(question: Question) -> bool:
    """Whether the text is itself what is asked ("Write a poem.", "Where is it?"), and none that it is asked of."""
    if question.passage.endswith(("?", "？")):
        return True
    if not question.alone:
        return False
    last = max((match.end() for match in _FIRST_SENTENCE.finditer(question.passage)), default=0)
    return any(_STARTS_ASKING.match(question.passage, start) for start in (0, last))


def _passage_span(prompt: str) -> tuple[int, int]:
    for find in (_tagged, _fenced):
        if span := find(prompt):
            return span
    end = _without_trailing_question(prompt)
    asking = _STARTS_ASKING.match(prompt)
    if asking and (span := _quoted_inside(prompt, end)):
        return span
    start = _after_colon(prompt, end)
    if start is not None:
        return start, end
    return _after_question(prompt, end) if asking else (0, end)


def _tagged(prompt: str) -> tuple[int, int] | None:
    """Find the last outermost pair of tags that is named like data, as ``<review>...</review>``."""
    if "</" not in prompt:
        return None
    found, done = None, 0
    for match in _OPEN_TAG.finditer(prompt):
        if match.start() < done or not _DATA_TAG.fullmatch(match[1]):
            continue
        close = prompt.find(f"</{match[1]}>", match.end())
        if close >= 0:
            found, done = (match.end(), close), close
    return found


def _fenced(prompt: str) -> tuple[int, int] | None:
    if "```" not in prompt and '"""' not in prompt:
        return None
    match = None
    for match in _FENCE.finditer(prompt):  # noqa: B007 - the last one counts: examples come first
        pass
    return match.span(match.lastindex or 0) if match else None


def _quoted_inside(prompt: str, end: int) -> tuple[int, int] | None:
    """Find data in quotation marks within the first line's question; it may hold such marks itself."""
    if '"' not in prompt and "“" not in prompt:
        return None
    opening = _OPEN_QUOTE.search(prompt, 0, min(end, 400))
    if not opening or _COLON.search(prompt, 0, opening.start()):
        return None
    close = prompt.rfind(_CLOSE_QUOTES[opening[0][-1]], opening.end(), end)
    return (opening.end(), close) if close > 0 else None


def _after_colon(prompt: str, end: int) -> int | None:
    """Return where the text after the introducing colon begins ("Classify this review: ...")."""
    clause_from = 0
    for count, match in enumerate(_COLON.finditer(prompt, 0, end)):
        if count == _COLONS:
            break
        clause = prompt[max(clause_from, match.start() - 240) : match.start()]
        clause_from = match.end()
        pieces = _CLAUSE_START.split(clause)
        clause = pieces[-1]
        if not _asks(clause) or _LISTING.search(clause, max(0, len(clause) - 40)):
            continue
        start = match.end()
        # "Review:" on a line of its own may come after examples of the same form: the last one is asked about.
        if len(pieces) > 1 or match.start() < 24:
            again = prompt.rfind(f"\n{clause.strip()}{prompt[match.start()]}", start, end)
            if again >= 0:
                start = again + len(clause.strip()) + 2
        return start
    return None


def _asks(clause: str) -> bool:
    if not ASKING.isdisjoint(_WORD.findall(clause.lower())):
        return True
    return not clause.isascii() and _CJK_ASKING.search(clause) is not None


def _after_question(prompt: str, end: int) -> tuple[int, int]:
    """Part an instruction that stands first from the data: by quotation marks, by a line break, by its first stop."""
    quoted = max(_QUOTED.finditer(prompt, 0, end), key=lambda m: m.end() - m.start(), default=None)
    first_stop = _FIRST_SENTENCE.search(prompt, 0, end)
    if quoted and (first_stop is None or quoted.start() <= first_stop.end() or quoted.end() == end):
        return quoted.span(quoted.lastindex or 0)
    line = prompt.find("\n\n", 0, end)
    if line < 0:
        line = prompt.find("\n", 0, end)
    if line >= 0:
        return line, end
    return (first_stop.end() if first_stop and first_stop.end() < end else 0), end


def _without_trailing_question(prompt: str) -> int:
    """Return where the data ends when the instruction, or a cue such as ``Label:``, comes after it."""
    end = len(prompt.rstrip())
    for _ in range(3):
        line = prompt.rfind("\n", 0, end)
        if line <= 0:
            break
        if not (_ANSWER_CUE.fullmatch(prompt, line + 1, end) or _STARTS_ASKING.match(prompt, line + 1, end)):
            break
        if not prompt[:line].strip():
            break
        end = len(prompt[:line].rstrip())
    return end


def enumerated_labels(instruction: str) -> tuple[str, ...]:
    """Return the labels that an instruction lists ("positive, negative or neutral"), or an empty tuple.

    Of several lists the last one is taken. Without "or" it is one only where the instruction is about choosing.
    """
    best: tuple[str, ...] = ()
    choosing = _CHOOSING.search(instruction) is not None
    for match in _ENUMERATION.finditer(instruction[-4000:].translate(_QUOTES)):
        if not choosing and not _ALTERNATIVE.search(match[0]):
            continue
        items = _ENUM_SPLIT.split(match[1])
        # The first and the last may drag words of the sentence along ("sentiment positive, negative or neutral of").
        longest = max((len(item.split()) for item in items[1:-1]), default=1)
        items[0] = " ".join(items[0].split()[-longest:])
        items[-1] = " ".join(items[-1].split()[:longest])
        best = tuple(item for item in items if item)
    return best if len(best) > 1 else ()
