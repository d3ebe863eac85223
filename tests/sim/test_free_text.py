"""Texts are answered in kind, by the words of the text and never by those of the instruction."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from batchnb.demo import sample
from batchnb.sim.model.responder import respond

pytestmark = pytest.mark.steady

MARK = "[simulated] "
REVIEW = (
    "The delivery was late, but the lamp itself is gorgeous and very bright. Support answered my 2 mails within a day."
    " I would buy from this shop again."
)


def told(prompt: str, seed: int = 0, noise: float = 1.0, **more: Any) -> str:
    params = {
        "model": "claude-haiku-5-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": prompt}],
        **more,
    }
    text: str = respond(params, random.Random(seed), noise=noise).content[-1]["text"]
    return text


def body(prompt: str, seed: int = 0, **more: Any) -> str:
    text = told(prompt, seed, **more)
    assert text.startswith(MARK)
    return text.removeprefix(MARK)


@pytest.mark.parametrize("form", ["Summarize this review: {}", "{}\n\nGive a title for the review above.",
                                  "다음 리뷰를 요약하세요: {}", "请总结这条评论：{}"])  # fmt: skip
def test_a_summary_is_shorter_than_its_text_and_made_of_it(form: str) -> None:
    for review in (REVIEW, *sample()["review"].dropna()):
        text = " ".join(review.split())
        if len(text) < 20:
            continue
        summary = body(form.format(review))
        assert 0 < len(summary) <= len(text) / 2
        assert summary.rstrip("…") in text
        assert len(text) < 30 or len(MARK + summary) < len(text)


def test_a_summary_is_another_one_now_and_then() -> None:
    assert len({body(f"Summarize this review: {REVIEW}", seed) for seed in range(30)}) == 1, (
        "within one request's share"
    )
    summaries = {told(f"Summarize this review: {REVIEW}{' Fine.' * seed}") for seed in range(40)}
    assert len(summaries) > 1
    assert len({told(f"Summarize this review: {REVIEW}{' Fine.' * seed}", noise=0) for seed in range(40)}) == 1


def test_keywords_come_from_the_text_and_mean_something() -> None:
    words = body(f"List the keywords of this review: {REVIEW}").split(", ")
    assert 3 <= len(words) <= 5
    assert all(word in REVIEW.lower() for word in words)
    assert not {"keywords", "review", "the", "this", "would"} & set(words)
    chinese = "质量很好我很喜欢这个产品，发货有点慢"
    assert all(word in chinese for word in body(f"请列出这条评论的关键词：{chinese}").split(", "))


def test_a_translation_says_that_it_is_simulated() -> None:
    answer = body(f"Translate this review into French: {REVIEW}")
    assert "simulated translation into French" in answer
    assert answer.endswith(REVIEW)
    assert "simulated translation," in body(f"请翻译：{REVIEW}")


def test_a_reply_follows_the_feeling_and_speaks_of_the_text() -> None:
    ask = "Write a short reply to this customer review: {}"
    assert body(ask.format("I love this lamp, it is perfect")).startswith("Thank you for your kind words about")
    assert "sorry about kettle" in body(ask.format("Terrible kettle, it broke"), noise=0).replace("terrible and ", "")
    assert "have taken note" in body(ask.format("The chair stands in the hall"))


def test_an_explanation_quotes_and_a_count_is_a_number() -> None:
    answer = body(f"Explain the tone of this review: {REVIEW}")
    assert answer == f'The text says "{REVIEW.split(". ")[0]}.", which reads as praise.'
    assert body(f"How many mails were written? Review: {REVIEW}") == "2"
    assert body("How many mails were written? Review: none") == "The text does not say."


@pytest.mark.parametrize("prompt", [
    "Write a poem about the sea.", "What is the capital of France?", "You are a helpful assistant. Tell me a joke.",
    "Summarize the plot of Hamlet.", "Explain photosynthesis", "Translate the word into German", "수도는 어디인가요?",
])  # fmt: skip
def test_a_request_without_a_text_is_not_said_again(prompt: str) -> None:
    for more in ({}, {"system": "You are a helpful assistant."}):
        answer = body(prompt, **more)
        assert prompt.rstrip(".?") not in answer
        assert answer.startswith("A model would write here about ")


def test_commas_of_an_instruction_make_no_labels() -> None:
    assert body(f"Translate the review to French, keep the tone: {REVIEW}").endswith(REVIEW)
    assert body(f"Read the review, then summarize it: {REVIEW}").rstrip("…") in REVIEW
    assert body(f"Classify the review as praise, complaint, question: {REVIEW}") in ("praise", "complaint", "question")
    assert body(f"Is the review praise or complaint? {REVIEW}") in ("praise", "complaint")


def test_fields_of_a_schema_get_texts_of_their_kind() -> None:
    names = ["summary", "quote", "rationale", "replyToCustomer", "germanTranslation", "note"]
    fields = {name: {"type": "string"} for name in names} | {"keywords": {"type": "array", "items": {"type": "string"}}}
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    config = {"format": {"type": "json_schema", "schema": schema}}
    got = json.loads(told(f"Fill in the form for this review: {REVIEW}", output_config=config))
    assert len(got["summary"]) <= len(REVIEW) / 2
    assert got["quote"] in REVIEW
    assert got["rationale"] == f'The text says "{got["quote"]}", which reads as praise.'
    assert got["replyToCustomer"].startswith("Thank you")
    assert "simulated translation" in got["germanTranslation"]
    assert got["note"] == got["quote"]
    assert all(word in REVIEW.lower() for word in got["keywords"])
