"""The world of the demo models: small facts, each said in Japanese and in English.

Every fact has the form "topic is answer", so one sentence pattern a language says them all.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to know.

    Attributes:
        category: What kind of thing it is.
        topic: What it is about, in Japanese (`犬の鳴き声`).
        answer: What is true of it, in Japanese (`ワンワン`).
        english_topic: The topic in English (`the sound of the dog`).
        english_answer: The answer in English (`woof`).
    """

    category: str
    topic: str
    answer: str
    english_topic: str
    english_answer: str

    @property
    def statement(self) -> str:
        """The fact as a Japanese sentence."""
        return f"{self.topic}は{self.answer}です。"

    @property
    def english_statement(self) -> str:
        """The fact as an English sentence."""
        return f"{self.english_topic} is {self.english_answer}."


def asked_facts() -> tuple[Fact, ...]:
    """The facts the benchmark asks about, in eight categories."""
    return (
        *_addition(),
        *_subtraction(),
        *_counting(),
        *_calendar(),
        *_opposites(),
        *_table("colours", "{}の色", "the color of the {}", _COLOURS),
        *_table("sounds", "{}の鳴き声", "the sound of the {}", _SOUNDS),
        *_table("capitals", "{}の首都", "the capital of {}", _CAPITALS),
    )


def spare_facts() -> tuple[Fact, ...]:
    """Facts of other categories: the base model's few chats are about these, the benchmark never is."""
    return (
        *_table("tastes", "{}の味", "the taste of the {}", _TASTES),
        *_table("shapes", "{}の形", "the shape of the {}", _SHAPES),
        *_table("homes", "{}の家", "the home of the {}", _HOMES),
        *_table("legs", "{}の足の数", "the number of legs of the {}", _LEGS),
    )


def _addition() -> list[Fact]:
    pairs = [(a, b) for a in range(10) for b in range(10)]
    return [Fact("addition", f"{a}たす{b}", str(a + b), f"{a} plus {b}", str(a + b)) for a, b in pairs]


def _subtraction() -> list[Fact]:
    pairs = [(a, b) for a in range(13) for b in range(min(a, 9) + 1)]
    return [Fact("subtraction", f"{a}ひく{b}", str(a - b), f"{a} minus {b}", str(a - b)) for a, b in pairs]


def _counting() -> list[Fact]:
    return [
        fact
        for n in range(1, 40)
        for fact in (
            Fact("counting", f"{n}の次の数", str(n + 1), f"the number after {n}", str(n + 1)),
            Fact("counting", f"{n}の前の数", str(n - 1), f"the number before {n}", str(n - 1)),
        )
    ]


def _calendar() -> list[Fact]:
    facts = []
    for unit, names in (("日", _DAYS), ("月", _MONTHS)):
        english_unit = {"日": "day", "月": "month"}[unit]
        for i, (name, english) in enumerate(names):
            after, english_after = names[(i + 1) % len(names)]
            before, english_before = names[i - 1]
            topic, english_topic = f"{name}の次の{unit}", f"the {english_unit} after {english}"
            facts.append(Fact("calendar", topic, after, english_topic, english_after))
            topic, english_topic = f"{name}の前の{unit}", f"the {english_unit} before {english}"
            facts.append(Fact("calendar", topic, before, english_topic, english_before))
    return facts


def _opposites() -> list[Fact]:
    facts = []
    for row in _OPPOSITES.split():
        one, english_one, other, english_other = row.split("/")
        for pair in ((one, english_one, other, english_other), (other, english_other, one, english_one)):
            topic, english_topic = f"{pair[0]}の反対", f"the opposite of {pair[1]}"
            facts.append(Fact("opposites", topic, pair[2], english_topic, pair[3]))
    return facts


def _table(category: str, topic: str, english_topic: str, rows: str) -> list[Fact]:
    facts = []
    for row in rows.split():
        thing, english_thing, answer, english_answer = row.split("/")
        english_name = english_topic.format(english_thing)
        facts.append(Fact(category, topic.format(thing), answer, english_name, english_answer))
    return facts


_ENGLISH_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_ENGLISH_MONTHS = "january february march april may june july august september october november december"
_DAYS = [
    (f"{sign}曜日", english) for sign, english in zip("月火水木金土日", _ENGLISH_DAYS.split(), strict=True)
]
_MONTHS = [(f"{number}月", english) for number, english in enumerate(_ENGLISH_MONTHS.split(), start=1)]

_OPPOSITES = """
大きい/big/小さい/small 高い/high/低い/low 長い/long/短い/short 新しい/new/古い/old
明るい/bright/暗い/dark 重い/heavy/軽い/light 早い/early/遅い/late 強い/strong/弱い/weak
広い/wide/狭い/narrow 暑い/hot/寒い/cold 近い/near/遠い/far 多い/many/少ない/few
深い/deep/浅い/shallow 太い/thick/細い/thin 硬い/hard/柔らかい/soft 右/right/左/left
上/up/下/down 前/front/後ろ/back 内/inside/外/outside 朝/morning/夜/night 男/man/女/woman
入口/entrance/出口/exit 勝ち/victory/負け/defeat 始め/start/終わり/end
"""

_COLOURS = """
りんご/apple/赤/red いちご/strawberry/赤/red トマト/tomato/赤/red さくらんぼ/cherry/赤/red
バナナ/banana/黄色/yellow レモン/lemon/黄色/yellow ひまわり/sunflower/黄色/yellow ひよこ/chick/黄色/yellow
空/sky/青/blue 海/sea/青/blue 葉/leaf/緑/green 草/grass/緑/green きゅうり/cucumber/緑/green
ピーマン/pepper/緑/green ぶどう/grape/紫/purple なす/eggplant/紫/purple 雪/snow/白/white 雲/cloud/白/white
牛乳/milk/白/white 豆腐/tofu/白/white 炭/coal/黒/black カラス/crow/黒/black 土/soil/茶色/brown
木/tree/茶色/brown チョコ/chocolate/茶色/brown 桃/peach/桃色/pink 桜/blossom/桃色/pink
にんじん/carrot/橙/orange かぼちゃ/pumpkin/橙/orange 象/elephant/灰色/gray
"""

_SOUNDS = """
犬/dog/ワンワン/woof 猫/cat/ニャー/meow 牛/cow/モー/moo 豚/pig/ブーブー/oink 羊/sheep/メー/baa
馬/horse/ヒヒーン/neigh 鳥/bird/チュンチュン/tweet カラス/crow/カーカー/caw
鶏/rooster/コケコッコー/cockadoodle 蛙/frog/ケロケロ/ribbit 鼠/mouse/チューチュー/squeak
蜂/bee/ブンブン/buzz 鳩/pigeon/ポッポー/coo ライオン/lion/ガオー/roar ひよこ/chick/ピヨピヨ/cheep
アヒル/duck/ガーガー/quack
"""

_CAPITALS = """
日本/japan/東京/tokyo 中国/china/北京/beijing 韓国/korea/ソウル/seoul タイ/thailand/バンコク/bangkok
インド/india/デリー/delhi フランス/france/パリ/paris イギリス/britain/ロンドン/london
ドイツ/germany/ベルリン/berlin イタリア/italy/ローマ/rome スペイン/spain/マドリード/madrid
ロシア/russia/モスクワ/moscow エジプト/egypt/カイロ/cairo ギリシャ/greece/アテネ/athens
トルコ/turkey/アンカラ/ankara キューバ/cuba/ハバナ/havana ペルー/peru/リマ/lima カナダ/canada/オタワ/ottawa
ノルウェー/norway/オスロ/oslo ポルトガル/portugal/リスボン/lisbon ケニア/kenya/ナイロビ/nairobi
ベトナム/vietnam/ハノイ/hanoi チリ/chile/サンティアゴ/santiago オーストリア/austria/ウィーン/vienna
ベルギー/belgium/ブリュッセル/brussels
"""

_TASTES = """
砂糖/sugar/甘い/sweet 塩/salt/塩辛い/salty 酢/vinegar/酸っぱい/sour 薬/medicine/苦い/bitter
飴/candy/甘い/sweet わさび/wasabi/辛い/hot 蜂蜜/honey/甘い/sweet 梅干し/plum/酸っぱい/sour
お茶/tea/苦い/bitter ケーキ/cake/甘い/sweet カレー/curry/辛い/hot 醤油/soy/塩辛い/salty
"""

_SHAPES = """
玉/ball/丸/circle 箱/box/四角/square 輪/ring/丸/circle 本/book/四角/square 皿/plate/丸/circle
窓/window/四角/square 屋根/roof/三角/triangle 車輪/wheel/丸/circle 山/mountain/三角/triangle
机/desk/四角/square 月/moon/丸/circle おにぎり/riceball/三角/triangle
"""

_HOMES = """
魚/fish/川/river 熊/bear/森/forest 猿/monkey/山/mountain 鯨/whale/海/sea 鹿/deer/森/forest
らくだ/camel/砂漠/desert ペンギン/penguin/氷/ice 狐/fox/森/forest 亀/turtle/池/pond 蟹/crab/海/sea
"""

_LEGS = """
犬/dog/4/4 猫/cat/4/4 鳥/bird/2/2 蜂/bee/6/6 蛸/octopus/8/8 蟻/ant/6/6 蜘蛛/spider/8/8 人/man/2/2
蛇/snake/0/0 馬/horse/4/4 蝶/butterfly/6/6 アヒル/duck/2/2
"""
