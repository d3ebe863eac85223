"""Words that tell what a text thinks of its subject, in English, Korean and Chinese.

General vocabulary, written down from knowledge of the languages, not counted from any corpus. Weights are coarse on
purpose: 1 is a hint, 2 a plain opinion, 3 a strong one.
"""

from __future__ import annotations

__all__ = ["CHINESE", "EMOJI", "ENGLISH", "ENGLISH_PHRASES", "HINTS", "KOREAN"]


def _weighted(groups: dict[float, str]) -> dict[str, float]:
    """Return word -> weight from weight -> words."""
    return {word: weight for weight, words in groups.items() for word in words.split()}


ENGLISH = _weighted(
    {
        3: """
            amazing awesome excellent outstanding fantastic superb perfect perfectly perfection wonderful
            wonderfully brilliant brilliantly love loved loves loving adore adored adores phenomenal incredible
            incredibly exceptional exceptionally flawless flawlessly magnificent marvelous marvellous masterpiece
            delicious delightful stellar best favorite favourite unbeatable spectacular breathtaking exquisite gem
            amazed hooked heavenly unforgettable divine mesmerizing captivating hilarious superbly splendid terrific
            fabulous extraordinary
        """,
        2: """
            good great nice nicely happy happier glad pleased pleasing pleasant pleasantly enjoy enjoyed enjoys
            enjoying enjoyable fun beautiful beautifully gorgeous lovely impressed impressive impresses recommend
            recommended recommends recommending satisfied satisfying satisfies satisfaction comfortable comfy
            comfortably friendly helpful tasty yummy delectable reliable reliably sturdy durable worth worthy
            worthwhile quality thrilled delighted pleasure charming elegant smooth smoothly superior solid well
            clever smart sharp crisp gripping moving touching heartwarming inspiring inspired memorable talented
            attentive courteous polite welcoming cozy cosy generous yum excited exciting handy convenient affordable
            bargain win winner winning praise praised thank thanks thankful grateful stylish sleek flavorful
            flavourful refreshing authentic genius entertaining engaging fascinating cool stunning stunningly
            likable likeable believable powerful efficient efficiently effective effectively intuitive effortless
            effortlessly seamless seamlessly fine-tuned top-notch well-made joy joyful wow remarkable remarkably
            riveting scrumptious succulent appreciate appreciated appreciates hearty wonders charm beloved classy
        """,
        1: """
            fresh clean easy easily quick quickly fast prompt promptly like liked likes decent fine okay ok useful
            simple clear clearly bright light lightweight soft warm cute interesting funny fair reasonable
            reasonably correct correctly accurate accurately strong stable works worked improved improvement
            improves better upgrade pretty neat compact quiet versatile secure securely responsive value bonus legit
            yes hot juicy tender crispy creamy spicy rich variety real truly glowing kind caring professional
            knowledgeable plenty perks plus fits fit suits succeeds success successful thoughtful subtle witty
            suspenseful surprised surprisingly lol must-have rewarding timely relaxed relaxing
        """,
        -3: """
            terrible terribly horrible horribly awful awfully worst worthless garbage trash crap crappy junk
            disgusting disgusted hate hated hates hating pathetic abysmal atrocious dreadful horrendous unacceptable
            unusable useless scam fraud rubbish appalling inedible ripoff rip-off nightmare unbearable unwatchable
            insulting insulted horrid vile shameful lousy sucks sucked suck joke stinks stunk
        """,
        -2: """
            bad badly poor poorly disappointed disappointing disappointment disappoints disappoint broken broke
            breaks faulty defective fail failed fails failure failing flimsy annoying annoyed annoys frustrating
            frustrated frustration ugly dirty filthy gross rude boring bored dull bland tasteless stale soggy
            overpriced waste wasted wasting regret regretted unhappy unsatisfied dissatisfied upset angry mad
            ridiculous stupid dumb mess messy nasty weak weakest lame unreliable uncomfortable unpleasant
            unprofessional unfriendly unhelpful inferior mediocre painful painfully pain ruined ruin ruins crashes
            crashed crash freezes froze defect defects problem problems refund refunded complaint complaints
            complain complained worse worsened misleading misled lie lied lies cheated avoid beware sorry sad sadly
            unfortunately leaked leaks leaking torn ripped cracked scratched burnt burned overcooked undercooked
            rotten moldy smelly stink stinky reeks sick nauseous rancid greasy hideous tedious predictable pointless
            laughable amateurish contrived cheesy ridiculously dreary unfunny pretentious clunky glitchy buggy laggy
            sloppy careless neglected ignored cringe cringed embarrassing embarrassed insult incompetent
            inconvenient inaccurate incorrect bother overrated underwhelming underwhelmed unimpressed unimpressive
            sluggish shoddy subpar wobbly malfunctioned malfunctions unplayable unwearable ick yuck eww ugh meh
            disaster disastrous tragedy shame
        """,
        -1: """
            slow slowly cheap cheaply cold loud noisy hard difficult small tiny thin heavy dry salty bitter sour
            issue issues trouble missing wrong late delay delayed delays old short uneven stiff stuck loose tight
            sticky expensive pricey confusing confused complicated confuse awkward lacks lacked lacking lack empty
            dead died dies die return returned returning replace replaced replacement however barely hardly fake
            wrongly scratch scratches rusty rust dented dent odd weird strange stops stopped quit limited static
            drops dropped drop excuse excuses unless wait waited waiting forced cliche cliched clichéd flat shallow
            silly average unable ordinary tired disconnects muffled blurry grainy dim worn peeling peeled fragile
            hurts hurt itchy rough bulky cramped crowded outdated unclear hassle unnecessarily lost fading faded
            lukewarm watery mushy chewy tough
        """,
    }
)

#: Sequences of words that mean something else together. A negation within one is already counted.
ENGLISH_PHRASES: dict[str, float] = {
    "no problem": 1.0,
    "no problems": 1.5,
    "no issues": 1.5,
    "no issue": 1.5,
    "no complaints": 2.0,
    "no regrets": 2.0,
    "no trouble": 1.5,
    "no hassle": 1.5,
    "no wonder": 0.0,
    "no doubt": 0.0,
    "can't wait": 1.5,
    "cannot wait": 1.5,
    "can't go wrong": 2.5,
    "cannot go wrong": 2.5,
    "can't complain": 1.5,
    "can't beat": 2.0,
    "can't say enough": 2.5,
    "couldn't be happier": 3.0,
    "could not be happier": 3.0,
    "couldn't ask for": 2.5,
    "never disappoints": 2.5,
    "never fails": 2.0,
    "never failed": 2.0,
    "never let me down": 2.5,
    "thumbs up": 2.5,
    "two thumbs up": 3.0,
    "thumbs down": -2.5,
    "hands down": 1.5,
    "must have": 1.0,
    "must see": 2.5,
    "must buy": 2.5,
    "a must": 2.0,
    "go back": 1.0,
    "going back": 1.0,
    "be back": 1.5,
    "come back": 1.0,
    "coming back": 1.0,
    "not going back": -2.5,
    "not be back": -2.5,
    "won't be back": -2.5,
    "never go back": -2.5,
    "never come back": -2.5,
    "never coming back": -2.5,
    "never going back": -2.5,
    "won't go back": -2.5,
    "will not be back": -2.5,
    "not come back": -2.0,
    "not go back": -2.0,
    "never again": -3.0,
    "as advertised": 1.5,
    "as described": 1.5,
    "as expected": 1.0,
    "not as advertised": -2.0,
    "not as described": -2.0,
    "worth it": 2.0,
    "not worth": -2.0,
    "isn't worth": -2.0,
    "wasn't worth": -2.0,
    "worth every penny": 3.0,
    "well worth": 2.0,
    "works great": 2.5,
    "works well": 2.0,
    "works fine": 1.5,
    "work well": 1.5,
    "work great": 2.0,
    "well made": 2.0,
    "well done": 2.0,
    "on point": 2.0,
    "top notch": 2.5,
    "high quality": 2.0,
    "great value": 2.5,
    "good value": 2.0,
    "poor quality": -2.5,
    "low quality": -2.5,
    "cheap quality": -2.0,
    "as well": 0.0,
    "might as well": 0.0,
    "well below": -1.0,
    "stay away": -3.0,
    "steer clear": -3.0,
    "don't buy": -3.0,
    "do not buy": -3.0,
    "don't bother": -2.5,
    "do not bother": -2.5,
    "don't waste": -3.0,
    "do not waste": -3.0,
    "save your money": -3.0,
    "save your time": -3.0,
    "money back": -2.0,
    "want my money": -2.5,
    "waste of": -3.0,
    "total waste": -3.0,
    "fell apart": -2.5,
    "falls apart": -2.5,
    "falling apart": -2.5,
    "fall apart": -2.0,
    "falls off": -1.5,
    "fell off": -1.5,
    "stopped working": -2.5,
    "stops working": -2.5,
    "quit working": -2.5,
    "doesn't work": -2.5,
    "didn't work": -2.5,
    "does not work": -2.5,
    "did not work": -2.5,
    "don't work": -2.5,
    "not working": -2.0,
    "never worked": -2.5,
    "never works": -2.5,
    "no longer": -1.5,
    "no good": -2.0,
    "no use": -1.5,
    "too bad": -1.5,
    "ripped off": -2.5,
    "let down": -2.0,
    "let me down": -2.0,
    "falls flat": -2.0,
    "fell flat": -2.0,
    "fall short": -2.0,
    "falls short": -2.0,
    "hard time": -1.5,
    "threw it away": -2.0,
    "threw it out": -2.0,
    "sent it back": -2.0,
    "send it back": -2.0,
    "sending it back": -2.0,
    "walked out": -2.0,
    "gave up": -1.5,
    "give up": -1.0,
    "better off": -1.0,
    "could be better": -1.0,
    "could have been better": -1.5,
    "deserves better": -1.0,
    "much better": 1.5,
    "not bad": 1.0,
    "not too bad": 1.0,
    "isn't bad": 1.0,
    "wasn't bad": 1.0,
    "not great": -1.5,
    "nothing special": -1.5,
    "nothing wrong": 1.0,
    "wrong with": 0.0,
    "not impressed": -2.0,
    "not even": -1.0,
    "not only": 0.0,
    "not just": 0.0,
    "not to mention": 0.0,
    "at best": -1.0,
    "at its best": 2.0,
    "best part": 1.5,
    "too long": -1.0,
    "too short": -1.0,
    "too much": -0.5,
    "too many": -0.5,
    "for the price": 0.5,
    "so so": 0.0,
    "pretty much": 0.0,
    "kind of": 0.0,
    "sort of": 0.0,
    "feel like": 0.0,
    "feels like": 0.0,
    "felt like": 0.0,
    "looks like": 0.0,
    "look like": 0.0,
    "looked like": 0.0,
    "seems like": 0.0,
    "sounds like": 0.0,
    "tastes like": 0.0,
    "tasted like": 0.0,
    "smells like": 0.0,
    "something like": 0.0,
    "things like": 0.0,
    "just like": 0.0,
    "is like": 0.0,
    "was like": 0.0,
    "would like": 0.0,
    "like a": 0.0,
    "like the": 0.5,
    "thank god": 0.5,
    "no thanks": -1.5,
    "thanks for nothing": -3.0,
    "yeah right": -2.0,
    "good luck": -1.0,
    "good thing": 0.5,
    "a lot": 0.0,
    "what a joke": -3.0,
    "horror movie": 0.0,
    "horror movies": 0.0,
    "dead on": 0.5,
    "hard to put down": 2.5,
    "on the edge of": 1.5,
    "blown away": 3.0,
    "fed up": -2.5,
    "five stars": 3.0,
    "5 stars": 3.0,
    "one star": -3.0,
    "1 star": -3.0,
    "zero stars": -3.0,
    "0 stars": -3.0,
    "two stars": -2.0,
    "2 stars": -2.0,
    "10 out of 10": 3.0,
    "10/10": 3.0,
    "0/10": -3.0,
    "1/10": -3.0,
}

#: Small signs that count only where nothing else was found: complaints say what is absent, and tell a story.
HINTS: dict[str, float] = _weighted(
    {
        -0.6: "not no never nothing nobody none don't doesn't didn't won't can't cannot couldn't wouldn't",
        -0.3: "isn't wasn't aren't weren't without only unless instead supposed if why because",
        -0.2: "minutes hours weeks days months money another after then told asked called said",
        0.3: "always also both every everyone everything definitely highly still family again gets",
        0.1: "you're whether all very has with and year years",
    }
)

#: Stems and pieces; what negates them follows or precedes and is looked for around each.
KOREAN = _weighted(
    {
        3: "최고 완벽 강추 대박 최상 인생템 감동 환상적 훌륭 끝내주 짱 존맛 꿀템 탁월",
        2: """
            좋 만족 추천 예쁘 예뻐 예쁜 이쁘 이뻐 이쁜 마음에들 마음에쏙 맘에들 맛있 재밌 재미있 감사 행복 사랑 친절
            편하 편해 편안 편리 튼튼 훈훈 고급스 뛰어나 알차 든든 잘산 잘샀 잘쓰 잘사용 잘먹 재구매 또살 또사 또구매
            쏙 즐거 상쾌 혜자 가성비 부드럽 부드러 촉촉 깔끔 유용 흡족 기대이상 설레 푹신 득템 굿 반했 반해
            흠잡을데없 후회없 나무랄데없
        """,
        1: """
            빠르 빨라 빠른 가볍 가벼 따뜻 시원 적당 괜찮 무난하게잘 깨끗 조용 저렴 선명 신선 싱싱 쉽 귀엽 귀여 꼼꼼
            센스 고소 바삭
        """,
        -3: """
            최악 쓰레기 환불 사기 돈낭비 돈아까 돈아깝 돈버렸 형편없 엉망 짜증 화나 화가 절대사지 다시는 두번다시
            혐오 역겨 끔찍
        """,
        -2: """
            별로 실망 후회 불편 불만 불친절 나쁘 나빠 나쁜 아쉽 아쉬 고장 불량 하자 파손 깨져 깨졌 망가 찢어
            부서 반품 허접 싸구려 조잡 속았 속은 비추 지루 재미없 맛없 시끄럽 시끄러 냄새 구려 구린 엉성 거슬 답답
            최하 낭비 아깝 아까 비싸기만 더럽 더러 불쾌 어이없 황당 무성의 무례 귀찮 짝퉁 뒤틀 끊겨 끊김 끊기 먹통
            찝찝 부실 성의없 대충 쓸모없 못쓰 버렸 실패
        """,
        -1: """
            비싸 비싼 느리 느려 느린 무겁 무거 작아 작네 작은 얇 약하 약해 부족 문제 늦 오래걸 어렵 이상하 이상해
            까끌 뻣뻣 뜨거 아프 아파 짜요 짜고 짧 흐릿 흔들 떨어지 떨어져 떨어졌 미끄 눌어 새네 새요 샙니다 누락
            애매 그저그
        """,
        0: "그냥그렇 무난 보통 쏘쏘 쓸만 좋겠 좋을텐데 좋을것같 좋았을 좋아지",
    }
)
# A wish or a regret, not praise: "it would have been good if ...".
KOREAN |= {"좋겠": -0.7, "좋을텐데": -1.0, "좋았을": -1.2, "쓸만": 1.0, "무난": 0.4}

CHINESE = _weighted(
    {
        3: "完美 太棒 最棒 超赞 绝绝子 五星 强烈推荐 极好 无可挑剔 惊艳 爱不释手 物超所值 神器 一绝 非常满意",
        2: """
            好 喜欢 满意 推荐 不错 很棒 棒 赞 优秀 舒服 舒适 方便 漂亮 好看 好吃 好用 好喝 好听 划算 超值 值得 开心
            惊喜 感谢 谢谢 贴心 耐用 结实 精致 靠谱 给力 好评 回购 感动 爱了 放心 美味 周到 热情 耐心 顺手 值了 良心
            赏心悦目 没毛病 没得说 没问题 没话说 挑不出 没让我失望 种草 安利 实惠 高级 细腻 流畅 温馨 香喷喷 满分
        """,
        1: """
            快 轻便 便宜 干净 清楚 清晰 简单 实用 新鲜 安静 暖和 柔软 软糯 正品 合适 可爱 稳定 大气 香 还行 还可以
            还不错 够用 整洁 省心 正好 入味
        """,
        -3: """
            垃圾 糟糕 最差 极差 太差 骗人 骗子 差评 恶心 坑人 坑爹 上当 千万别 智商税 忍无可忍 一塌糊涂 无语 气死
            避雷 退货 退款 假货 再也不
        """,
        -2: """
            差 失望 糟 难吃 难用 难看 难喝 难闻 难受 坏 后悔 鸡肋 劣质 投诉 破损 破了 漏水 漏液 异味 刺鼻 卡顿 掉色
            褪色 起球 变形 开裂 断了 浪费 敷衍 态度恶劣 恶劣 欺骗 虚假 不值 不好 不行 不满 不爽 不舒服 不推荐 不喜欢
            不耐用 粗糙 烂 山寨 坑 乏味 无聊 吵 臭 生气 生锈 尴尬 不符 缺斤少两 智障 死机 报废 没用 没法用 不能用
            用不了 踩雷 翻车 瑕疵 毛病 白买 白花
        """,
        -1: """
            慢 贵 小了 太小 太大 太薄 太重 太硬 太甜 太咸 太油 太短 薄 硬 重了 问题 麻烦 一般般 遗憾 可惜 磕碰 划痕
            噪音 松动 偏小 偏大 偏薄 少了 缺 漏 断 掉 勉强 失灵 发热 烫手 费电
        """,
        0: """
            你好 您好 好像 好久 好几 好多 好了 只好 最好 刚好 爱好 好不容易 好奇 好吧 好歹 好友 好心 好些 好一会
            恰好 偏好 差不多 相差 时差 出差 差点 快递 快要 快一年 赶快 尽快 快两 快三 快半 一般 还好 破坏 重要 重新
            很重要 凑合 贵阳 贵州 难免 硬盘 硬件 香港 香味 坏人 不管 不过 差异 差别 误差 好坏 没坏 没坑 问题不大
            大小 快餐 快充
        """,
    }
)
CHINESE |= {
    "还好": 0.5,
    "问题不大": 0.5,
    "快充": 0.5,
    "香味": 1.0,
    "没坏": 1.0,
    "凑合": -0.3,
    "一般": -0.5,
    "差点": -0.7,
}

EMOJI: dict[str, float] = {
    **dict.fromkeys("😍🥰🤩💯🏆", 3.0),
    **dict.fromkeys("😊😀😃😄😁👍❤💕💖💗🎉😋🙌👏✨🌟🔥😻🥳💪👌♥☺", 2.0),
    **dict.fromkeys("🙂😉😎", 1.0),
    **dict.fromkeys("😡🤬👎🤮💩😤", -3.0),
    **dict.fromkeys("😠😞😢😭😩😒🙁☹😖😫🤢💔😣😔", -2.0),
    **dict.fromkeys("😕😐🙄😬😑🤦", -1.0),
}
