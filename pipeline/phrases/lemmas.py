"""Dictionary forms of the words that phrases keep: nouns to the singular, adjectives to the base form.

spaCy's own lemmatizer is not used: it costs 4 % of the parse and gives `cooky`, `clothe`, `scissor` and
`graz` for cookies, clothes, scissors and grass. Only nouns tagged plural are touched, so what is needed is
English spelling and a list of exceptions.
"""

from __future__ import annotations

from functools import lru_cache


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IRREGULAR_NOUNS = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "mice": "mouse",
    "oxen": "ox",
    "dice": "die",
    "cacti": "cactus",
    "octopi": "octopus",
    "hippopotami": "hippopotamus",
}
"""Plurals that are plural whatever the tagger says."""

SAME_IN_PLURAL = _words("aircraft bison deer fish moose series sheep species")
"""Nouns whose singular and plural are spelt alike."""
# Left as they are when tagged plural: used in the plural for one thing, or no plural at all.
_UNCHANGED = SAME_IN_PLURAL | _words(
    "athletics binoculars broccoli cattle clothes goggles goods gymnastics headquarters jeans khakis"
    " leggings lens news overalls pajamas pants pliers police pyjamas scissors shorts sunglasses tennis"
    " tights tongs trousers tweezers woods"
)
_IN_IE = _words(
    "birdie bowtie brownie calorie collie cookie cutie doggie eerie genie goalie hoodie magpie movie necktie"
    " newbie pie potpie prairie rookie selfie smoothie sweetie tie veggie walkie-talkie zombie"
)
_IN_O = _words("buffalo cargo echo hero mango mosquito potato tornado tomato torpedo volcano")
_IN_S = _words(
    "atlas bonus bus cactus campus canvas chorus christmas circus citrus crocus gas hibiscus"
    " hippopotamus iris lens minibus octopus omnibus pancreas platypus status surplus trellis virus walrus"
)
_IN_XE_OR_CHE = _words("avalanche axe cache headache moustache mustache pickaxe porsche quiche")
_IN_F = _words("bookshelf calf elf half hoof leaf loaf scarf self shelf thief wolf")
_IN_FE = _words("housewife knife life penknife wife")
_SINGULAR = {
    **{f"{noun}s": noun for noun in _IN_IE | _IN_XE_OR_CHE},
    **{f"{noun}es": noun for noun in _IN_O | _IN_S},
    **{f"{noun[:-1]}ves": noun for noun in _IN_F},
    **{f"{noun[:-2]}ves": noun for noun in _IN_FE},
    "quizzes": "quiz",
    "waltzes": "waltz",
}

_BASE_ADJECTIVES = {
    "better": "good",
    "best": "good",
    "worse": "bad",
    "worst": "bad",
    "farther": "far",
    "further": "far",
}
# Adjectives that end in e: "larger" is large + r, not larg + er.
_IN_E = _words(
    "blue brave close cute fine gentle huge large late little loose nice pale purple rare ripe safe simple"
    " square strange tame white wide wise"
)


@lru_cache(maxsize=65536)
def noun_lemma(text: str, is_plural: bool) -> str:
    """A noun in lowercase and, if it is plural, in the singular.

    >>> noun_lemma("Cookies", True), noun_lemma("grass", False), noun_lemma("scissors", True)
    ('cookie', 'grass', 'scissors')
    """
    word = text.lower()
    if word in IRREGULAR_NOUNS:
        return IRREGULAR_NOUNS[word]
    if not is_plural or word in _UNCHANGED:
        return word
    if word in _SINGULAR:
        return _SINGULAR[word]
    if word.endswith("men") and len(word) > 4:
        return word[:-2] + "an"
    if not word.endswith("s") or word.endswith(("ss", "us", "'s")) or len(word) < 3:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "shes", "ches", "zzes")):
        return word[:-2]
    return word[:-1]


@lru_cache(maxsize=65536)
def adjective_lemma(text: str, tag: str) -> str:
    """An adjective in lowercase; comparatives (``JJR``) and superlatives (``JJS``) in the base form.

    >>> adjective_lemma("Larger", "JJR"), adjective_lemma("biggest", "JJS"), adjective_lemma("red", "JJ")
    ('large', 'big', 'red')
    """
    word = text.lower()
    suffix = {"JJR": "er", "JJS": "est"}.get(tag)
    if word in _BASE_ADJECTIVES:
        return _BASE_ADJECTIVES[word]
    if suffix is None or not word.endswith(suffix) or len(word) < len(suffix) + 3:
        return word
    stem = word[: -len(suffix)]
    if stem.endswith("i"):
        return stem[:-1] + "y"
    if stem + "e" in _IN_E:
        return stem + "e"
    if stem[-1] == stem[-2] and stem[-1] not in "ls":
        return stem[:-1]
    return stem
