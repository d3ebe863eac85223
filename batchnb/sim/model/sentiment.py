"""Weighs the sentiment of a text by its words: English, Korean, Chinese, emoji.

Deliberately simple. It knows negation near a word, contrast ("but"), intensifiers and a few set phrases; irony, and
anything that needs the world, it gets wrong.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from batchnb.sim.model.sentiment_words import CHINESE, EMOJI, ENGLISH, ENGLISH_PHRASES, HINTS, KOREAN

__all__ = ["Evidence", "weigh"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: How many words after it a negation reaches.
_REACH = 3
#: A negated good word is bad ("not good"); a negated bad one is only faintly good ("not terrible").
_NEGATED_GOOD, _NEGATED_BAD = -0.8, -0.5
_BEFORE_BUT, _AFTER_BUT = 0.5, 1.4
#: What was expected or would have been says the opposite more often than not.
_WISHED = -0.3

_TOKEN = re.compile(r"[a-z]+(?:['-][a-z]+)*|\d+/\d+|\d+|[.,!?;:()\n]")
_STRETCHED = re.compile(r"([a-z])\1{2,}")
_STOPS = frozenset(".!?;:()\n")
_NEGATIONS = _words(
    "not no never neither nor without cannot nothing nobody none hardly barely scarcely isnt wasnt dont doesnt didnt"
    " wont cant couldnt wouldnt aint isn't wasn't aren't weren't don't doesn't didn't won't can't couldn't wouldn't"
    " shouldn't hasn't haven't hadn't ain't"
)
_STRONGER = _words(
    "very so really extremely absolutely totally super highly incredibly truly completely such definitely quite"
    " especially exceptionally utterly insanely"
)
_WEAKER = _words("slightly somewhat fairly bit little kinda sorta mostly almost rather partly relatively")
_CONTRASTS = _words("but however except yet unfortunately sadly")
_CONCESSIONS = _words("although though despite while")
_WISHES = _words("wish hoped hoping expected expecting should supposed could")

_PHRASES: dict[str, list[tuple[tuple[str, ...], float]]] = {}
for _phrase, _weight in sorted(ENGLISH_PHRASES.items(), key=lambda item: -item[0].count(" ")):
    _first, *_rest = _phrase.split()
    _PHRASES.setdefault(_first, []).append((tuple(_rest), _weight))


def _alternatives(words: dict[str, float]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)))


_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_EMOJI = _alternatives(EMOJI)
_KOREAN = _alternatives(KOREAN)
_KOREAN_NEGATED_BEFORE = re.compile(r"(?:^|[\s,.])(?:안|못)\s?$")
_KOREAN_NEGATED_AFTER = re.compile(
    r"[\uac00-\ud7a3]{0,3}?지[는도를가]?(?:않|못|안)"  # 좋지 않다, 만족스럽지 못하다
    r"|[\uac00-\ud7a3]{0,2}?(?:이|은|는)?없|[도은는]아니"  # 불편함이 없다, 최고는 아니다
)
_KOREAN_CONTRAST = re.compile(r"지만|는데|은데|하지만|그런데|근데|그러나|다만|으나")
_CHINESE = _alternatives(CHINESE)
_CHINESE_NEGATED = re.compile(
    r"(?:不|没|没有|未|别|无|并非|毫无|谈不上|算不上)"
    r"(?:是|太|很|怎么|那么|够|会|能|有|让我|让人|觉得|特别|什么|想象中|非常|多)*$"
)
_CHINESE_CONTRAST = re.compile(r"但是?|可是|不过|然而|就是|只是|却")


class Evidence(NamedTuple):
    """What a text's words say: the weights of its good and of its bad words, both at least 0."""

    positive: float
    negative: float

    @property
    def balance(self) -> float:
        """From -1 (all bad) to 1 (all good); near 0 where there is little evidence."""
        return (self.positive - self.negative) / (self.positive + self.negative + 1)


def weigh(text: str) -> Evidence:
    """Add up the sentiment of a text's words."""
    weights: list[float] = []
    if not text.isascii():
        text = text.replace("’", "'").replace("‘", "'")
        weights += [EMOJI[match] for match in _EMOJI.findall(text)]
        if _HANGUL.search(text):
            weights += _korean(text)
        elif _HAN.search(text):
            weights += _chinese(text)
    weights += _english(text, hints=not weights)
    positive = sum(weight for weight in weights if weight > 0)
    return Evidence(positive, positive - sum(weights))


def _english(text: str, *, hints: bool) -> list[float]:
    lowered = text.lower()
    if _STRETCHED.search(lowered):
        lowered = _STRETCHED.sub(_unstretched, lowered)
    tokens = _TOKEN.findall(lowered)
    weights = _Reader(tokens).read()
    if weights or not hints:
        return weights
    found = [HINTS[token] for token in tokens if token in HINTS]
    return [sum(found)] if found else []


def _unstretched(match: re.Match[str]) -> str:
    """Shorten ``soooo`` to ``so`` but ``goooood`` to ``good``: most words that get stretched double an o or e."""
    letter = match[1]
    text = match.string
    double = letter + letter
    start = max(match.start() - 3, 0)
    around = text[start : match.start()] + double + text[match.end() : match.end() + 3]
    return double if any(word in around for word in ("good", "cool", "sweet", "need", "too")) else letter


class _Reader:
    """One pass over the words of an English text."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.weights: list[float] = []
        self.negated_until = -1
        self.wished_until = -1
        self.factor = 1.0
        self.conceded = False

    def read(self) -> list[float]:
        tokens, position, length = self.tokens, 0, len(self.tokens)
        phrases, words, controls = _PHRASES, ENGLISH, _CONTROLS
        while position < length:
            token = tokens[position]
            if token in phrases and (found := self.phrase(token, position)):
                width, weight = found
                if weight:
                    self.add(weight, position)
                position += width
                continue
            if token in words:
                self.add(words[token], position)
            if token in controls:
                self.control(token, position)
            position += 1
        return self.weights

    def phrase(self, token: str, position: int) -> tuple[int, float] | None:
        for rest, weight in _PHRASES[token]:
            if tuple(self.tokens[position + 1 : position + 1 + len(rest)]) == rest:
                return len(rest) + 1, weight
        return None

    def add(self, weight: float, position: int) -> None:
        if position <= self.negated_until:
            weight *= _NEGATED_GOOD if weight > 0 else _NEGATED_BAD
        elif position <= self.wished_until and weight > 0:
            weight *= _WISHED
        if position:
            before = self.tokens[position - 1]
            if before in _STRONGER:
                weight *= 1.4
            elif before in _WEAKER:
                weight *= 0.6
            elif before == "too" and weight > 0:
                weight *= -0.3
        self.weights.append(weight * self.factor)

    def control(self, word: str, position: int) -> None:
        if word in _NEGATIONS:
            self.negated_until = position + _REACH
        elif word in _STOPS:
            self.negated_until = self.wished_until = -1
            self.factor = 1.0
        elif word == ",":
            if self.conceded:
                self.conceded, self.factor = False, _AFTER_BUT
        elif word in _CONTRASTS:
            self.negated_until = self.wished_until = -1
            self.weights[:] = [weight * _BEFORE_BUT for weight in self.weights]
            self.factor = _AFTER_BUT
        elif word in _CONCESSIONS:
            self.conceded, self.factor = True, _BEFORE_BUT
        elif word in _WISHES:
            self.wished_until = position + 5


_CONTROLS = _NEGATIONS | _STOPS | _CONTRASTS | _CONCESSIONS | _WISHES | {","}


def _korean(text: str) -> list[float]:
    # People put spaces where they like, so stems are looked for without them; negation before a word needs them.
    places = [at for at, character in enumerate(text) if character not in " \t"]
    joined = "".join([text[at] for at in places])
    turn = max((match.end() for match in _KOREAN_CONTRAST.finditer(joined)), default=0)
    weights = []
    for match in _KOREAN.finditer(joined):
        weight = KOREAN[match[0]]
        before = text[max(0, places[match.start()] - 4) : places[match.start()]]
        if _KOREAN_NEGATED_AFTER.match(joined, match.end()) or _KOREAN_NEGATED_BEFORE.search(before):
            weight *= _NEGATED_GOOD if weight > 0 else _NEGATED_BAD
        weights.append(_turned(weight, match.start(), turn))
    return [weight for weight in weights if weight]


def _chinese(text: str) -> list[float]:
    turn = max((match.end() for match in _CHINESE_CONTRAST.finditer(text)), default=0)
    weights = []
    for match in _CHINESE.finditer(text):
        weight = CHINESE[match[0]]
        if _CHINESE_NEGATED.search(text, max(0, match.start() - 6), match.start()):
            weight *= _NEGATED_GOOD if weight > 0 else _NEGATED_BAD
        weights.append(_turned(weight, match.start(), turn))
    return [weight for weight in weights if weight]


def _turned(weight: float, position: int, turn: int) -> float:
    """Weigh what comes before the last "but" less, and what comes after it more."""
    if not turn:
        return weight
    return weight * (_BEFORE_BUT if position < turn else _AFTER_BUT)
