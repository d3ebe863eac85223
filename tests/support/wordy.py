"""Made-up texts in several scripts, and a rough tokenizer that no length foretells exactly."""

from __future__ import annotations

import random
import re
import zlib

_PIECES = re.compile(r"[^\W\d_]+|\d+|[^\w\s]+|_+|\s{2,}")
_ENGLISH = [
    "the",
    "a",
    "this",
    "it",
    "and",
    "of",
    "to",
    "in",
    "for",
    "battery",
    "screen",
    "works",
    "great",
    "terrible",
    "never",
    "again",
    "would",
    "recommend",
    "bought",
    "two",
    "weeks",
    "ago",
    "sound",
    "quality",
    "disappointing",
    "price",
    "unfortunately",
    "customer",
    "service",
    "absolutely",
    "wonderful",
    "replacement",
    "arrived",
    "12",
    "30%",
    "https://example.com/item?id=8841",
    ":-)",
    "!!!",
    "misunderstanding",
    "characteristically",
]
_CHINESE = "这个产品很好用但是电池不太行质量一般服务态度差我会再买价格便宜声音清楚屏幕有点暗"
_KOREAN = [
    "이",
    "제품은",
    "정말",
    "좋아요",
    "하지만",
    "배터리가",
    "빨리",
    "닳고",
    "배송이",
    "늦었습니다",
    "다시",
    "살게요",
    "화면이",
    "어두워요",
]


def texts(count: int, seed: int, *, english: float = 1.0) -> list[str]:
    """Make reviews, most of them short and a few very long; that share of them in English."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        length = min(600, 1 + int(rng.lognormvariate(2.5, 0.9)))
        if rng.random() < english:
            made.append(" ".join(rng.choices(_ENGLISH, k=length)))
        elif rng.random() < 0.5:
            made.append("".join(rng.choices(_CHINESE, k=2 * length)) + "。")
        else:
            made.append(" ".join(rng.choices(_KOREAN, k=length)))
    return made


def rough_tokens(text: str) -> int:
    """Split a text somewhat as a real tokenizer does: whole words, pieces of long ones, some characters as two."""
    found = 8
    for piece in _PIECES.findall(text):
        if not piece.isascii():
            found += sum(1 + (zlib.crc32(character.encode()) % 5 < 2) for character in piece)
        elif piece[0].isalpha():
            found += (
                1 + (len(piece) > 6 and zlib.crc32(piece.lower().encode()) % 3 == 0) + max(0, (len(piece) - 6) // 3)
            )
        else:
            found += -(-len(piece) // 3)
    return found
