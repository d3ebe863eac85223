"""Words by which an instruction tells what kind of text it wants."""

from __future__ import annotations

__all__ = ["FIELDS", "LANGUAGES", "TASKS"]

#: Kind of text -> what an instruction that asks for it says, as a pattern; the first that is found counts.
TASKS: dict[str, str] = {
    "translation": r"\btranslat|번역|翻译|翻訳",
    "keywords": r"\bkey ?words?\b|\bkey ?(?:phrases?|terms?)\b|\btags?\b|키워드|关键词|關鍵詞|キーワード",
    "summary": (
        r"\bsummar(?:y|i[sz])|\btl;?dr\b|\bgist\b|\bin (?:one|a single|two) (?:short )?sentences?\b|\bshorten|\bcondens"
        r"|\bheadline\b|\btitle\b|요약|제목|总结|概括|摘要|标题|要約"
    ),
    "reply": (
        r"\b(?:write|draft|compose|prepare|formulate|suggest|give)\b[^.\n]{0,60}\b(?:reply|response|answer|apology)\b"
        r"|\b(?:reply|respond)\b[^.\n]{0,20}\bto (?:this|the|our|a)\b|답장|답글|回复|答复"
    ),
    "rewriting": (
        r"\b(?:rewrite|rephrase|paraphrase|proofread|reword)"
        r"|\b(?:correct|fix)\b[^.\n]{0,40}\b(?:grammar|spelling|typos)\b|고쳐|改写|润色"
    ),
    "count": r"\bhow (?:many|much)\b|몇 |얼마|多少|几个",
    "explanation": r"\bexplain|\bwhy\b|\breasons?\b|\bjustif|이유|설명|为什么|解释|原因",
}

#: The same for the name of a field that is a string.
FIELDS: dict[str, str] = {
    "translation": r"translat|in (?:english|german|french|spanish|korean|chinese|japanese)$|번역|翻译",
    "quote": r"\bquot(?:e|ation)|\bexcerpt|\bspan\b|\bevidence|\bverbatim|인용|引用|原文",
    "summary": r"summary|\bgist|headline|\btitle\b|tl ?dr|\bmain point|요약|제목|总结|摘要|标题",
    "reply": r"\breply\b|\bresponse (?:draft|text|message|to customer)$|답장|回复",
    "explanation": r"rationale|reason|explanation|justification|\bwhy\b|\bbecause|이유|理由|原因",
}

#: Languages that a translation may be into.
LANGUAGES = (
    r"\b(?:in)?to (?:\w+ )?(English|German|French|Spanish|Italian|Portuguese|Dutch|Korean|Chinese|Japanese|Russian"
    r"|Arabic|Turkish|Polish|Swedish|Hindi|Vietnamese)\b"
)
