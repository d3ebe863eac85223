"""Words that labels are made of: names of sentiments, languages and topics, and words too common to mean anything."""

from __future__ import annotations

__all__ = ["LABEL_ROLES", "LANGUAGE_NAMES", "NOISE_WORDS", "TOPIC_CUES"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: Names of sentiment labels, as they stand after lower-casing and with spaces for ``_`` and ``-``.
LABEL_ROLES: dict[str, str] = {
    **dict.fromkeys(
        (
            "positive",
            "pos",
            "good",
            "great",
            "happy",
            "favorable",
            "favourable",
            "satisfied",
            "like",
            "liked",
            "promoter",
            "thumbs up",
            "praise",
            "positif",
            "positivo",
            "positiva",
            "positiv",
            "+",
            "👍",
            "😊",
            "긍정",
            "긍정적",
            "좋음",
            "만족",
            "正面",
            "积极",
            "正向",
            "好评",
            "满意",
            "肯定",
            "ポジティブ",
        ),
        "positive",
    ),
    **dict.fromkeys(
        (
            "negative",
            "neg",
            "bad",
            "unhappy",
            "unfavorable",
            "unfavourable",
            "dissatisfied",
            "unsatisfied",
            "dislike",
            "disliked",
            "detractor",
            "thumbs down",
            "complaint",
            "négatif",
            "negatif",
            "negativo",
            "negativa",
            "negativ",
            "-",
            "👎",
            "😞",
            "부정",
            "부정적",
            "나쁨",
            "불만",
            "불만족",
            "负面",
            "消极",
            "负向",
            "差评",
            "不满意",
            "不满",
            "否定",
            "ネガティブ",
        ),
        "negative",
    ),
    **dict.fromkeys(
        (
            "neutral",
            "neu",
            "ok",
            "okay",
            "passive",
            "neither",
            "indifferent",
            "average",
            "neutre",
            "neutro",
            "neutra",
            "😐",
            "중립",
            "중립적",
            "보통",
            "中性",
            "中立",
            "一般",
            "中评",
            "ニュートラル",
        ),
        "neutral",
    ),
    **dict.fromkeys(
        ("mixed", "ambivalent", "both", "혼합", "복합", "混合", "褒贬不一"),
        "mixed",
    ),
    **dict.fromkeys(
        ("excellent", "amazing", "love", "매우긍정", "매우만족", "非常满意"),
        "very positive",
    ),
    **dict.fromkeys(
        ("terrible", "awful", "hate", "매우부정", "매우불만", "非常不满"),
        "very negative",
    ),
}  # fmt: skip

LANGUAGE_NAMES: dict[str, str] = {
    **dict.fromkeys(("en", "eng", "english", "영어", "英语", "英文"), "en"),
    **dict.fromkeys(("ko", "kor", "korean", "한국어", "韩语", "韩文"), "ko"),
    **dict.fromkeys(("zh", "zho", "chinese", "mandarin", "중국어", "中文", "汉语"), "zh"),
    **dict.fromkeys(("ja", "jpn", "japanese", "일본어", "日语", "日文"), "ja"),
    **dict.fromkeys(("ru", "rus", "russian"), "ru"),
    **dict.fromkeys(("ar", "ara", "arabic"), "ar"),
}

#: Words too common to say what a text is about.
NOISE_WORDS = frozenset(
    _words(
        """
        a about after all also am an and any are as at be because been before but by can could did do does each for
        from get got had has have he her here him his how i if in into is it its just me more most my no not of off
        on one only or other our out over she so some such than that the their them then there these they this those
        to too under up us very was we were what when where which while who why will with would you your
        """
    )
)

#: Other words that speak for a label's topic, beside its own name.
TOPIC_CUES: dict[str, tuple[str, ...]] = {
    "price": _words(
        "cost costs expensive cheap overpriced affordable money worth value paid bargain 가격 비싸 저렴 价格 贵 便宜"
    ),
    "billing": _words("invoice charge charged charges refund payment paid card bill subscription 결제 환불 付款 退款"),
    "shipping": _words(
        "ship shipped delivery delivered arrive arrived courier package parcel late 배송 택배 快递 物流 发货"
    ),
    "delivery": _words(
        "ship shipped shipping delivered arrive arrived courier package parcel late 배송 택배 快递 物流 发货"
    ),
    "service": _words(
        "staff waiter waitress server support rude friendly helpful manager called 직원 서비스 친절 服务 客服 态度"
    ),
    "support": _words("help agent called answer email chat phone staff rude representative 고객센터 상담 客服"),
    "quality": _words(
        "broke broken durable sturdy flimsy material stitching defective cheap solid 품질 튼튼 불량 质量 做工"
    ),
    "food": _words(
        "taste tasty delicious meal dish menu lunch dinner chicken pizza burger salad 맛있 음식 味道 好吃 菜"
    ),
    "taste": _words("tasty delicious flavor flavour bland sweet salty bitter 맛 味道 好吃 难吃"),
    "battery": _words("charge charged charging charger power 배터리 충전 电池 充电"),
    "sound": _words("audio volume bass noise loud music hear 소리 음질 声音 音质"),
    "audio": _words("sound volume bass noise loud music hear 소리 음질 声音 音质"),
    "size": _words("small big large tight loose fit fits 사이즈 작 尺寸 大小"),
    "comfort": _words("comfortable comfy soft hurt hurts tight 편안 편하 舒服"),
    "design": _words("look looks color colour style ugly beautiful 디자인 예쁘 外观 颜色"),
    "cleanliness": _words("clean dirty dust smell stain stains filthy 청결 깨끗 더럽 干净 卫生"),
    "location": _words("near close walk station parking far 위치 역 位置 地铁"),
    "technical": _words("error crash crashes bug login password install update app 오류 报错"),
    "account": _words("login password email username profile locked"),
    "return": _words("refund exchange send sent 반품 환불 退货"),
    "complaint": _words("bad broken refund disappointed terrible rude 불만 投诉"),
    "question": _words("? how where when does can 인가요 吗 什么"),
    "electronics": _words("phone headphones charger battery screen laptop camera speaker cable 이어폰 耳机 手机"),
    "clothing": _words("shirt shoes jacket dress jeans size fabric wear 옷 신발 衣服 鞋"),
    "movie": _words("film actor actors acting plot scene director cinema 영화 电影"),
    "restaurant": _words("food waiter menu meal table dinner 식당 餐厅"),
    "book": _words("read reading author novel chapter page 책 书"),
}
