"""Which objects a caption names, and of which colour: a small deterministic grammar over known words.

It is a judge of generated captions, so it has to be predictable rather than clever: no model, and nothing
outside the lexicon is ever an object ("on a grey background" names none). What it reads:

- Noun phrases: determiner or number, then modifiers and colours in any order, then a noun. "two red cups" are
two
  of (cup, red); a plural without a number is two; "a pair of" is two.
- Several colours before one noun: one each where they are as many as the things ("a red and a blue" or "two
red
  and blue cups"), else all on each: ("a red and blue kite" is one (kite, "blue and red")).
- Predicates: "the cup is red", "a cup and a star are blue", "the fish below them is orange" (the colour goes
to the
  subject, the first noun phrase of its clause), "a star, which is blue" (to the nearest noun), "it is red"
  (to the latest thing), "two cups, one red and one blue".
- Second mentions: "the red cup" or "the cup" after a matching (cup, red) is that same cup; "a", "another" and
  "other" always bring a new one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

Named = tuple[str, str]
"""A noun and a colour; the colour is empty where none is said, and ``blue and red`` where a thing has two."""

_SIZES = ("small", "large", "big", "little", "tiny", "huge")
_PATTERNS = ("plain", "striped", "dotted", "checked", "spotted", "patterned")
_SHADES = ("dark", "light", "bright", "coloured", "colored")
MODIFIERS = frozenset((*_SIZES, *_PATTERNS, *_SHADES, "very", "all", "both", "also"))
_TOKENS = re.compile(r"[^\W\d_]+|\d+|[.,;:!?]")
_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNTS = {word: count for count, word in enumerate(_NUMBERS, start=2)} | {"pair": 2, "couple": 2}
_NEW = frozenset(("a", "an", "one", "another", "other", "some"))
_DEFINITE = frozenset(("the", "this", "that", "these", "those", "its", "their"))
_BE = frozenset(("is", "are", "was", "were"))
_PRONOUNS = frozenset(("it", "they"))
_STOPS = frozenset(".;:!?")
_IRREGULAR = {"man": "men", "woman": "women", "child": "children", "person": "people", "mouse": "mice"}


@dataclass(frozen=True)
class Lexicon:
    """The words that the grammar knows; make it with `lexicon`."""

    nouns: dict[tuple[str, ...], tuple[str, bool]]
    """Words of a noun, singular or plural -> (the noun, is plural)."""
    colours: frozenset[str]
    modifiers: frozenset[str]
    longest: int
    """Words in the longest noun."""


@dataclass
class _Mention:
    noun: str
    count: int
    colours: list[str]
    definite: bool


@dataclass
class _Reader:
    """Where the scan stands: the phrase being read, and what the clause is about."""

    mentions: list[_Mention] = field(default_factory=list)
    subject: list[_Mention | None] = field(default_factory=list)
    """The clause's first noun phrases; None for one whose noun is not in the lexicon."""
    group: list[_Mention] = field(default_factory=list)
    """The latest noun phrases that stand in a row."""
    joined: bool = False
    relative: bool = False
    predicate: str = ""
    """The verb, where a colour may follow that is said of the subject."""
    colours: list[str] = field(default_factory=list)
    count: int = 0
    opened: str = ""
    """``new``, ``one`` or ``definite`` once a determiner or number has opened a noun phrase."""

    def close_phrase(self, noun: str, plural: bool) -> None:
        count = self.count or (2 if plural else 1)
        mention = _Mention(noun, count, self.colours, self.opened == "definite")
        self.mentions.append(mention)
        self.group = [*self.group, mention] if self.joined else [mention]
        if not self.subject or (self.joined and self.subject[-1] is self.group[-2]):
            self.subject.append(mention)
        self.clear()
        self.joined = True

    def clear(self) -> None:
        self.colours, self.count, self.opened, self.predicate, self.relative = [], 0, "", "", False

    def settle(self) -> bool:
        """Give colours that no noun followed to what they are said of; True if there were any."""
        if not self.colours:
            return False
        if self.predicate:
            targets = self.group[-1:] if self.relative else [m for m in self.subject if m is not None]
            bare = [m for m in targets if not m.colours]
            if len(bare) == 1 and bare[0].definite and self.predicate in ("are", "were"):
                bare[0].count = max(bare[0].count, 2)  # "the fish are": the verb tells what the noun does not
            if len(bare) == len(self.colours) > 1:
                for mention, colour in zip(bare, self.colours, strict=True):
                    mention.colours = [colour]
            else:
                for mention in bare:
                    mention.colours = list(self.colours)
            if not self.relative:
                self.subject = []
        elif self.opened == "one" and self.group and self.group[-1].count > len(self.group[-1].colours):
            self.group[-1].colours = [*self.group[-1].colours, *self.colours]
        self.clear()
        return True


def lexicon(nouns: Collection[str], colours: Collection[str], modifiers: Collection[str] = ()) -> Lexicon:
    """The lexicon of these nouns (a word or a compound, singular), colours, and modifiers beside `MODIFIERS`.

    Raises:
        ValueError: a word is both a noun and a colour.
    """
    both = sorted(set(nouns) & set(colours))
    if both:
        raise ValueError(f"{', '.join(both)}: a word cannot be both a noun and a colour")
    forms: dict[tuple[str, ...], tuple[str, bool]] = {}
    for noun in nouns:
        *before, last = noun.lower().split()
        for plural in plurals(last):
            forms[(*before, plural)] = (noun, True)
    for noun in nouns:  # last, so that "fish" alone is one
        forms[tuple(noun.lower().split())] = (noun, False)
    longest = max((len(form) for form in forms), default=1)
    return Lexicon(forms, frozenset(colours), MODIFIERS | frozenset(modifiers), longest)


def named_objects(caption: str, known: Lexicon) -> Counter[Named]:
    """The multiset of (noun, colour) that a caption names; the grammar is the module's."""
    tokens = _TOKENS.findall(caption.lower())
    reader = _Reader()
    at = 0
    while at < len(tokens):
        length, noun = _noun_at(tokens, at, known)
        if noun is not None:
            reader.close_phrase(*noun)
        else:
            _read_word(reader, tokens[at], known)
        at += length
    reader.settle()
    return _count(reader.mentions)


def object_f1(said: Counter[Named], true: Counter[Named]) -> float:
    """F1 of two multisets: 2 |said ∩ true| / (|said| + |true|); 1 if both are empty."""
    total = said.total() + true.total()
    return 2 * (said & true).total() / total if total else 1.0


def _noun_at(tokens: Sequence[str], at: int, known: Lexicon) -> tuple[int, tuple[str, bool] | None]:
    for length in range(min(known.longest, len(tokens) - at), 0, -1):
        noun = known.nouns.get(tuple(tokens[at : at + length]))
        if noun is not None:
            return length, noun
    return 1, None


def _read_word(reader: _Reader, word: str, known: Lexicon) -> None:
    if word in _STOPS:
        reader.settle()
        reader.clear()
        reader.subject, reader.joined = [], False
    elif word == ",":
        if reader.predicate or reader.opened == "one":
            reader.settle()
    elif word == "and":
        if reader.opened == "one":
            reader.settle()
    elif word in known.colours:
        reader.colours.append(word)
    elif word in _BE:
        reader.settle()
        relative = reader.relative
        reader.clear()
        reader.relative, reader.predicate, reader.joined = relative, word, False
    elif word in _PRONOUNS and not reader.subject:
        reader.subject = list(reader.group[-1:] if word == "it" else reader.group)
    elif word == "which" or (word == "that" and reader.joined and not reader.opened):
        reader.settle()
        reader.relative = True
    elif word in _NEW or word in _DEFINITE or word in _COUNTS or word.isdigit():
        _open_phrase(reader, word)
    elif word not in known.modifiers and not (word == "of" and reader.count):
        _pass_unknown(reader)


def _open_phrase(reader: _Reader, word: str) -> None:
    if reader.predicate or reader.opened == "one":
        reader.settle()  # "the cup is red and the star ..."
    count = _COUNTS.get(word, 0) or (int(word) if word.isdigit() else 0)
    opened = reader.opened
    if word in _DEFINITE:
        opened = "definite"
    elif word == "one":
        opened = "one"
    elif word in _NEW or not opened:
        opened = "new"
    colours, joined = reader.colours, reader.joined
    reader.clear()
    reader.opened, reader.count, reader.joined = opened, count, joined
    if word in ("a", "an", "one") and colours:  # "a red and a blue cup": two things, one noun still to come
        reader.colours, reader.count = colours, len(colours) + 1


def _pass_unknown(reader: _Reader) -> None:
    """A word outside the lexicon ends a phrase: a predicate's colour is given, a phrase's is dropped."""
    was_phrase = bool(reader.opened or reader.colours)
    if reader.predicate or reader.opened == "one":
        reader.settle()
    elif was_phrase:
        if not reader.subject:
            reader.subject = [None]
        reader.clear()
    reader.joined = False


def _count(mentions: Sequence[_Mention]) -> Counter[Named]:
    kept: list[_Mention] = []
    for mention in mentions:
        earlier = _referent(mention, kept) if mention.definite else None
        if earlier is None:
            kept.append(mention)
        elif not earlier.colours:  # "a star ... the star is pink"
            earlier.colours = mention.colours
    named: Counter[Named] = Counter()
    for mention in kept:
        if len(mention.colours) == mention.count:
            named.update((mention.noun, colour) for colour in mention.colours)
        else:
            named[mention.noun, " and ".join(sorted(set(mention.colours)))] += mention.count
    return named


def _referent(mention: _Mention, kept: Sequence[_Mention]) -> _Mention | None:
    """What "the cup" or "the red cup" comes back to: the latest like it, else the latest without a colour."""
    alike = [m for m in kept if m.noun == mention.noun and m.count >= mention.count]
    coloured = [m for m in alike if set(mention.colours) <= set(m.colours)]
    return next(iter((coloured or [m for m in alike if not m.colours])[::-1]), None)


def plurals(noun: str) -> tuple[str, ...]:
    """The plural forms that a caption may use of a noun of one word."""
    if noun in _IRREGULAR:
        return (_IRREGULAR[noun],)
    if noun.endswith("f"):
        return (noun[:-1] + "ves", noun + "s")
    if noun.endswith("fe"):
        return (noun[:-2] + "ves", noun + "s")
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return (noun + "es",)
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return (noun[:-1] + "ies",)
    return (noun + "s", noun + "es") if noun.endswith("o") else (noun + "s",)
