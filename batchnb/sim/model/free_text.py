"""Writes the texts that are asked for in words: summaries, keywords, replies. Made of the text's own words."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache

from batchnb.sim.model.field_values import find_part
from batchnb.sim.model.label_words import NOISE_WORDS
from batchnb.sim.model.prompts import ASKING, Question, is_request
from batchnb.sim.model.task_words import FIELDS, LANGUAGES, TASKS

__all__ = ["answer_in_words", "extract", "field_text", "keywords"]

_EXTRACT_CHARS = 120
_READ = 2_000  # characters of a text, and of an instruction, that are looked at
_SENTENCES = 4  # of which one may be taken
#: Each sentence is so much less likely to be taken than the one before.
_LATER = 0.6
_KEYWORDS = 5
#: Less difference than this between good and bad words is no feeling.
_UNDECIDED = 0.75

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_CLAUSE_END = re.compile(r"[,;:，、；]\s*|\s+[-–—(]+\s*|\s+(?:but|and|because|so|which)\s+")
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_CHUNK = 4  # characters of a run in a script that puts no space between words
_NUMBER = re.compile(r"(?<![\w.])\d{1,15}(?:[.,]\d{1,15})?(?![\w.])")
_LANGUAGE = re.compile(LANGUAGES, re.IGNORECASE)
_SEPARATORS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")


def answer_in_words(question: Question) -> str:
    """Return what a question that asks for no label is answered with; never its own words.

    A summary is shorter than its text, keywords and quotes are words of it, and a translation says that it is none.
    """
    passage, asked = question.passage, question.instruction[-_READ:]
    if not passage.strip():
        return "There is no text to answer."
    for kind, pattern in _TASKS:
        if pattern.search(asked):
            return _WRITERS[kind](question)
    if is_request(question):
        about = [word for word in keywords(question, 5) if word not in ASKING]
        return f"A model would write here about {_listed(about[:3]) or 'that'}."
    return find_part(asked, passage) or extract(passage)


def field_text(name: str, question: Question) -> str:
    """Return a text for a field of this name: what it asks for, else the first sentence of the text."""
    kind = _field_kind(name)
    if kind is not None:
        return _WRITERS[kind](question)
    return find_part(name, question.passage) or extract(question.passage)


@lru_cache(maxsize=1024)
def _field_kind(name: str) -> str | None:
    words = _SEPARATORS.sub(" ", name[:_READ]).strip()
    return next((kind for kind, pattern in _FIELDS if pattern.search(words)), None)


def extract(text: str) -> str:
    """Return the first sentence of a text, cut at a word to about 120 characters."""
    head = " ".join(_SENTENCE_END.split(text[:600].strip(), maxsplit=1)[0].split())
    return head if len(head) <= _EXTRACT_CHARS else f"{_cut(head, _EXTRACT_CHARS)}…"


def keywords(question: Question, most: int) -> list[str]:
    """Return the longest words of the passage that mean something, in its order; which of equals is left to chance."""
    seen: dict[str, None] = {}
    for word in _WORD.findall(question.passage[:600]):
        known = word.casefold()
        if known not in NOISE_WORDS:
            seen[known if known.isascii() or len(known) <= 2 * _CHUNK else known[:_CHUNK]] = None
    longest = sorted(seen, key=len, reverse=True)[: 2 * max(most, 0)]
    if len(longest) > most:
        draws = {word: question.noise.fit(1, _place(word)) for word in longest}
        longest = sorted(longest, key=lambda word: (len(word), draws[word]), reverse=True)[: max(most, 0)]
    return [word for word in seen if word in longest]


def _place(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "surrogatepass"))


def _summary(question: Question) -> str:
    """Return one of the first sentences, mostly the first, cut to half of the text's length."""
    passage = " ".join(question.passage[:_READ].split())
    sentences = [part.strip() for part in _SENTENCE_END.split(passage) if part.strip()][:_SENTENCES]
    fits = [question.noise.fit(1 - _LATER * at, at) for at in range(len(sentences))]
    sentence = sentences[fits.index(max(fits))] if sentences else ""
    room = min(_EXTRACT_CHARS, max(len(passage) // 2, 1))
    return sentence if len(sentence) <= room else f"{_cut(sentence, room - 1)}…"


def _cut(text: str, room: int) -> str:
    """Return the beginning of a text that is no longer than `room`: up to a clause's end, else a word's, if it can."""
    room = max(room, 1)
    ends = [match.start() for match in _CLAUSE_END.finditer(text, 0, room + 1) if match.start() > room // 3]
    at = ends[-1] if ends else text.rfind(" ", 0, room + 1)
    return text[: at if at > room // 3 else room].rstrip()


def _quote(question: Question) -> str:
    """Return the beginning of the passage, letter by letter."""
    head = _SENTENCE_END.split(question.passage[:600].strip(), maxsplit=1)[0].rstrip()
    return head if len(head) <= _EXTRACT_CHARS else _cut(head, _EXTRACT_CHARS)


def _translation(question: Question) -> str:
    found = _LANGUAGE.search(question.instruction[-_READ:])
    into = f" into {found[1].capitalize()}" if found else ""
    return f"(A simulated translation{into}, the words are the original's) {question.passage}"


def _listed_keywords(question: Question) -> str:
    return ", ".join(keywords(question, _KEYWORDS)) or extract(question.passage)


def _reply(question: Question) -> str:
    about = _listed(keywords(question, 2)) or "this"
    return {
        "praise": f"Thank you for your kind words about {about}. It is good to hear that you are content.",
        "criticism": f"We are sorry about {about}. Please send us the number of your order, and we will put it right.",
        "neither praise nor criticism": f"Thank you for writing to us about {about}. We have taken note of it.",
    }[_feeling(question)]


def _rewriting(question: Question) -> str:
    return f"(A simulated rewriting, the words are the original's) {question.passage}"


def _count(question: Question) -> str:
    found = _NUMBER.search(question.passage[:_READ])
    return found[0] if found else "The text does not say."


def _explanation(question: Question) -> str:
    return f'The text says "{_quote(question)}", which reads as {_feeling(question)}.'


def _feeling(question: Question) -> str:
    difference = question.evidence.positive - question.evidence.negative
    if abs(difference) <= _UNDECIDED:
        return "neither praise nor criticism"
    return "praise" if difference > 0 else "criticism"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


_WRITERS: dict[str, Callable[[Question], str]] = {
    "translation": _translation,
    "keywords": _listed_keywords,
    "summary": _summary,
    "reply": _reply,
    "rewriting": _rewriting,
    "count": _count,
    "explanation": _explanation,
    "quote": _quote,
}
_TASKS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in TASKS.items()]
_FIELDS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in FIELDS.items()]
