"""Chooses among given labels by the words of a text."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from batchnb.sim.model.label_words import LABEL_ROLES, LANGUAGE_NAMES, NOISE_WORDS, TOPIC_CUES
from batchnb.sim.model.prompts import Question
from batchnb.sim.model.sentiment import Evidence

__all__ = ["FITS", "choose", "choose_all", "script_language", "shared_words"]

#: Less difference than this between good and bad words is no evidence for either.
_UNDECIDED = 0.75
#: Beyond this the text is "very" positive or negative, where the labels make that difference.
_STRONG = 3.0

_SEPARATORS = re.compile(r"[\s_/\-]+")
_WORD = re.compile(r"[^\W_]+")
_LEADING_NUMBER = re.compile(r"-?\d+")
_VERY = {"very", "strongly", "extremely", "highly", "매우", "아주", "非常", "很"}
_YES = {"yes", "true", "y", "예", "네", "是", "对"}
_NO = {"no", "false", "n", "아니요", "아니오", "否", "不是"}
_NOTHING = {"other", "others", "unknown", "none", "na", "n a", "general", "unclear", "misc", "기타", "其他", "未知"}
#: A label that is for what fits none of the others, by its name or by what is said of it.
_ESCAPE = re.compile(
    r"^(?:other|none|unknown|unclear|misc)\b|\b(?:none of|fits? none|nothing else|anything else|everything else"
    r"|(?:does|do) not fit|no other (?:label|category|one))\b|해당 없음|以上皆非|都不",
    re.IGNORECASE,
)
#: What stands between a label and its description on a line of its own. From where its space begins: it is looked for
#: at each character, and a line may be all space.
_DESCRIBES = re.compile(r"(?<!\s)(?:\s*[:：=]\s*|\s+[-–—]+\s+)")
#: How well a label fits that is for what fits no other; and how well one does at least that fits at all: one shared
#: word is 1, before noise.
_ESCAPES, FITS = -9.0, 0.4
#: Of several labels, those count that fit at least this well beside the best.
_ALSO_FITS = 0.34
_ASKS_FOR_GOOD = re.compile(
    r"positive|recommend|satisf|happy|favou?rable|like[sd]? |긍정|추천|만족|正面|积极|推荐|满意", re.I
)
_ASKS_FOR_BAD = re.compile(
    r"negative|complain|unhappy|angry|dissatisf|problem|refund|부정|불만|负面|消极|不满|投诉", re.I
)
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_ARABIC = re.compile(r"[\u0600-\u06ff]")


def choose(options: Sequence[str], question: Question, described: Mapping[str, str] | None = None) -> int:
    """Return the position of the option that fits a question best.

    Labels that read like sentiment are weighed by the lexicon, scales (``1`` to ``5``) too; ``yes`` and ``no`` by what
    the instruction asks; names of languages by script; all others by the words they share with the text, with
    their description as further words. All but languages with the question's noise, which decides where the words
    decide little. Without any evidence: ``other`` or its like, else a guess (without noise: the first).

    Parameters
    ----------
    options
        The options.
    question
        The text, and the instruction, which may describe an option on a line of its own.
    described
        What else is said of an option.
    """
    known = tuple(options)
    if roles := _sentiment_roles(known):
        return _by_sentiment(roles, question.evidence)
    if scale := _scale(known):
        return scale[round((question.evidence.balance + 1) / 2 * (len(scale) - 1))]
    plain = [_plain(option) for option in known]
    if len(plain) > 1 and set(plain) & _YES and set(plain) & _NO:
        return _by_answer(plain, question)
    if any(name in LANGUAGE_NAMES for name in plain):
        language = script_language(question.passage)
        for position, name in enumerate(plain):
            if LANGUAGE_NAMES.get(name) == language:
                return position
    scores = _scores(plain, question, described or {})
    escape = next((position for position, score in enumerate(scores) if score == _ESCAPES), None)
    best = max(scores)
    return escape if escape is not None and best < FITS else scores.index(best)


def choose_all(options: Sequence[str], question: Question, described: Mapping[str, str] | None = None) -> list[int]:
    """Return the positions of all options that fit a question, in their order; perhaps none.

    Options of which one excludes the others (only sentiments, a scale, yes and no, languages) give one. Without any
    evidence: ``other`` or its like alone, where it is an option.
    """
    known = tuple(options)
    plain = [_plain(option) for option in known]
    roles = _sentiment_roles(known)
    exclusive = (set(plain) & _YES and set(plain) & _NO) or any(name in LANGUAGE_NAMES for name in plain)
    if exclusive or _scale(known) or len([name for name in plain if _role(name)]) >= len(known) - 1:
        return [choose(known, question, described)] if known else []
    scores = _scores(plain, question, described or {})
    if roles and abs(question.evidence.positive - question.evidence.negative) > _UNDECIDED:
        felt = _by_sentiment(roles, question.evidence)
        scores[felt] = max(scores[felt], 0.0) + 3.0
    best = max(scores)
    if best < FITS:
        return [position for position, score in enumerate(scores) if score == _ESCAPES][:1]
    return [position for position, score in enumerate(scores) if score >= max(best * _ALSO_FITS, FITS)]


def shared_words(one: str, other: str) -> int:
    """Return how many words that mean something two texts share, endings aside."""
    return len(_content_words(one) & _content_words(other))


def script_language(text: str) -> str:
    """Return the language (``en``, ``ko``, ``zh``, ``ja``, ``ru``, ``ar``) that a text's script suggests."""
    if text.isascii():
        return "en"
    scripts = (("ko", _HANGUL), ("ja", _KANA), ("zh", _HAN), ("ru", _CYRILLIC), ("ar", _ARABIC))
    counts = {language: len(script.findall(text)) for language, script in scripts}
    if counts["ja"] and counts["zh"]:
        counts["ja"] += counts["zh"]
    language = max(counts, key=lambda name: counts[name])
    # A latin word is about five letters, a word in the other scripts two or three.
    return language if counts[language] * 4 >= len(text) / 2 else "en"


def _plain(label: str) -> str:
    return _SEPARATORS.sub(" ", label.casefold()).strip(" .")


@lru_cache(maxsize=256)
def _sentiment_roles(options: tuple[str, ...]) -> dict[str, int]:
    """Return role -> position for labels that read like sentiment; empty for labels that do not."""
    roles: dict[str, int] = {}
    for position, option in enumerate(options):
        if role := _role(_plain(option)):
            roles.setdefault(role, position)
    stems = {role.removeprefix("very ") for role in roles}
    return roles if {"positive", "negative"} <= stems or (len(options) > 1 and len(roles) == len(options)) else {}


def _role(label: str) -> str | None:
    if label in LABEL_ROLES:
        return LABEL_ROLES[label]
    words = label.split()
    found = {LABEL_ROLES[word] for word in words if word in LABEL_ROLES}
    if len(found) != 1:
        return None
    role = found.pop()
    return f"very {role}" if _VERY & set(words) and role in ("positive", "negative") else role


def _by_sentiment(roles: dict[str, int], evidence: Evidence) -> int:
    wanted = list(_wanted_roles(evidence, undecided=_UNDECIDED if {"neutral", "mixed"} & roles.keys() else 0.0))
    for role in (*wanted, "neutral", "mixed", "positive", "very positive"):
        if role in roles:
            return roles[role]
    return 0


def _wanted_roles(evidence: Evidence, undecided: float) -> Iterator[str]:
    """Yield the roles that evidence speaks for, best first."""
    difference = evidence.positive - evidence.negative
    weaker = min(evidence.positive, evidence.negative)
    if weaker >= 1.5 and abs(difference) < weaker:
        yield "mixed"
    if abs(difference) <= undecided:
        yield from ("mixed", "neutral") if weaker >= 1 else ("neutral", "mixed")
    side = "positive" if difference > 0 else "negative"
    if difference:
        if abs(difference) >= _STRONG:
            yield f"very {side}"
        yield side
        yield f"very {side}"


@lru_cache(maxsize=256)
def _scale(options: tuple[str, ...]) -> tuple[int, ...]:
    """Return positions from the lowest to the highest value when every option is a number ("4", "4 stars")."""
    numbers = [match for option in options if (match := _LEADING_NUMBER.match(option.strip()))]
    if len(numbers) != len(options) or len(options) < 2:
        return ()
    return tuple(sorted(range(len(options)), key=lambda position: int(numbers[position][0])))


def _by_answer(plain: Sequence[str], question: Question) -> int:
    difference = question.evidence.positive - question.evidence.negative
    if _ASKS_FOR_BAD.search(question.instruction):
        yes = difference < 0
    elif _ASKS_FOR_GOOD.search(question.instruction):
        yes = difference > 0
    else:
        asked = _content_words(question.instruction)
        yes = question.noise.fit(len(asked & _content_words(question.passage)), 0) >= FITS
    wanted = _YES if yes else _NO
    return next(position for position, name in enumerate(plain) if name in wanted)


def _scores(plain: Sequence[str], question: Question, described: Mapping[str, str]) -> list[float]:
    """Return how well each label fits, noise included; `_ESCAPES` for one that is for what fits no other."""
    passage = question.passage.casefold()
    words = _content_words(passage)
    more = {_plain(option): said for option, said in described.items()}
    scores = []
    first = zlib.crc32("\n".join(plain).encode("utf-8", "surrogatepass"))  # other labels draw otherwise
    for place, name in enumerate(plain, first):
        said = f"{_descriptions(question.instruction).get(name, '')} {more.get(name, '')}"
        if name in _NOTHING or _ESCAPE.search(name) or _ESCAPE.search(said):
            scores.append(_ESCAPES)
        else:
            score = _overlap(name, words, passage) + len(_known_words(said) & words)
            scores.append(question.noise.fit(score, place))
    return scores


def _overlap(label: str, words: set[str], passage: str) -> float:
    names = _known_words(label)
    score = 3.0 * len(names & words) + (2.0 if _named(label, passage) else 0.0)
    for name in names:
        latin, other = _CUES.get(name, (frozenset(), ()))
        score += len(latin & words) + sum(cue in passage for cue in other)
    return score


def _named(label: str, passage: str) -> bool:
    """Whether a text names a label: as words of its own, where the label's script has spaces between words."""
    if label not in passage or len(label) < 2:
        return False
    return not label.isascii() or re.search(rf"(?<!\w){re.escape(label)}(?!\w)", passage) is not None


# The rows of a batch share their instruction and their labels.
@lru_cache(maxsize=64)
def _descriptions(instruction: str) -> dict[str, str]:
    """Return what an instruction says of labels on lines of their own ("- billing: invoices and refunds")."""
    found: dict[str, str] = {}
    for line in instruction.splitlines():
        parts = _DESCRIBES.split(line.strip(" -*#•"), maxsplit=1)
        if len(parts) == 2:
            found.setdefault(_plain(parts[0].strip(" *\"'`")), parts[1])
    return found


@lru_cache(maxsize=1024)
def _known_words(text: str) -> frozenset[str]:
    return frozenset(_content_words(text))


def _content_words(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text.casefold()) if word not in NOISE_WORDS and len(word) > 1}


def _stem(word: str) -> str:
    """Cut the commonest English endings, so that ``shipping`` meets ``shipped``."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] else word.removesuffix("e")


#: Topic -> stems of latin cues, and the cues in scripts that put no space between words.
_CUES = {
    _stem(topic): (frozenset(_stem(cue) for cue in cues if cue.isascii()), [cue for cue in cues if not cue.isascii()])
    for topic, cues in TOPIC_CUES.items()
}
