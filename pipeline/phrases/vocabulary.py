"""Words that decide what becomes of a noun chunk: closed lists of everyday English, lowercase lemmas.

The parser says what is grammatically a noun phrase; these lists say which of them name a thing that a
patch can show. They are meant to be read and extended; nothing else in the room has to change.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pairs(text: str) -> frozenset[tuple[str, str]]:
    names = (name.split() for name in text.split(","))
    return frozenset((first, second) for first, second in names)


# "a group OF people": the thing is the noun after "of", and there are many of it.
PARTITIVES_OF_MANY = _words(
    "abundance amount array assortment batch bouquet bunch bundle clump cluster collection couple crew crowd"
    " dozen family fleet flock gathering group handful heap herd hundred line load lot majority mass number"
    " pack pair pile plenty plethora row selection series set stack string swarm team thousand ton trio"
    " variety"
)
# "a slice OF pizza": one piece, one kind, one share of the thing.
PARTITIVES_OF_ONE = _words(
    "bit bite chunk combination half kind loaf mix mixture part piece portion quarter rest scoop section"
    " serving slab slice sort species style type version wedge"
)
# These only before a bare noun: "a body OF water", but "the body OF the horse" is a thing.
PARTITIVES_OF_THE_UNCOUNTED = _words("body mess stalk sheet")
PARTITIVES = PARTITIVES_OF_MANY | PARTITIVES_OF_ONE | PARTITIVES_OF_THE_UNCOUNTED

# Singular nouns that name many: without "of" they are the thing itself.
CROWDS = _words(
    "audience bunch cattle couple crew crowd family fleet flock group herd luggage pack pair team"
    " traffic trio"
)

# "on TOP of", "the SIDE of", "to the LEFT": where a thing is, not a thing.
RELATIONAL = _words(
    "back background base bottom center centre corner distance edge end foreground front inside left middle"
    " midst opposite outside rear right side top"
)
# What may stand before a relational noun and leave it relational: "the far left hand side".
SPATIAL = _words(
    "back bottom either far front hand left left-hand lower near opposite other right right-hand same top"
    " upper very immediate"
)
# Of these, the ones that also name a thing to see when no "of" follows: "a woman in a black top".
THING_WHEN_BARE = _words("top")

# The picture itself, when the caption opens with it: "a photo of a cat", "this image shows".
DEPICTIONS = _words("image photo photograph pic picture snapshot")
AFTER_DEPICTION = _words(
    "of showing shows show taken depicting depicts featuring features with that has where"
)

# What people do, where the tagger takes a participle for a noun: "a giraffe STANDING".
ACTIVITIES = _words(
    "balancing biking cooking eating flying grazing grinding jumping laying lying parasailing playing posing"
    " riding running sailing sitting skateboarding skiing sleeping snowboarding standing surfing swimming"
    " swinging waiting walking working"
)
# Nouns that name nothing to point at: views, times, activities, qualities.
INVISIBLE = ACTIVITIES | _words(
    "view shot scene close closeup close-up up perspective angle glimpse look sight"
    " time day night morning afternoon evening dusk dawn noon season year hour minute daytime"
    " nighttime today midday summer winter spring autumn weekend christmas halloween thanksgiving easter"
    " way air mid-air midair position preparation direction action motion movement attention fun"
    " color colour size effect illusion condition weather use reason idea order speed process example"
    " turn chance conversation progress mode purpose kind type sort style variety"
    " game match trick ride sport event activity practice competition stunt"
    " tennis soccer badminton cricket golf rugby hockey polo"
)
# Invisible unless something tells them apart: "the rest", "a place", but "a grassy lot", "a fire place".
INVISIBLE_WHEN_BARE = _words("bit half lot part piece place rest")
# Invisible as a lone singular word: "playing BASEBALL", "on DISPLAY", but "a baseball", "a display".
INVISIBLE_WHEN_ALONE = _words("baseball basketball display football line sale softball volleyball work")

# Words that stand for a noun; the parser's own pronoun tags come on top.
PRONOUNS = _words(
    "something anything everything nothing someone somebody anyone anybody everyone everybody none one ones"
    " other others another each both all some any many several few most more it its"
)

# Adjectives that a patch does not show, or that only compare or count.
UNSEEN_ADJECTIVES = _words(
    "able alone asleep available aware busy certain close different due entire famous far favorite"
    " favourite few first full good great last least less looking many more most much multiple near next"
    " numerous only other own particular possible present ready real same second separate several similar"
    " single special such sure third total typical usual various visible whole"
)
# Nor does a patch show where the thing is: "the LEFT kite".
NO_ATTRIBUTES = UNSEEN_ADJECTIVES | SPATIAL | RELATIONAL
VAGUE_NUMBERS = _words("few many multiple numerous several")
# Tagged as plurals without being many.
UNCOUNTED = _words("broccoli")
# Participles that are seen also after the noun: "the cup is striped".
SEEN_PARTICIPLES = _words(
    "striped dotted spotted checked checkered chequered patterned colored coloured painted"
)

COLOURS = _words(
    "amber aqua beige black blue brown crimson cyan gold gray green grey indigo ivory khaki lavender lime"
    " magenta maroon navy olive orange pink purple red scarlet silver tan teal turquoise violet white yellow"
)
# Attributes whatever the tagger calls them, like colours: "a LARGE striped cup".
SIZES = _words("big huge large little long short small tall tiny wide")
# Heads before which a fruit's name is the fruit and no colour: "orange juice".
OF_FRUIT = _words("juice slice peel grove wedge segment soda marmalade zest rind sorbet oil")

# Two words that are one name, where the tagger may see an adjective, a verb or an adverb.
FIXED_COMPOUNDS = _pairs(
    "baseball bat, cell phone, dining room, dining table, end table, fire hydrant, fire hydrants, fire place,"
    " fire truck, french fries, hot dog, hot dogs, ice cream, living room, parking lot, parking meter,"
    " parking meters, polar bear, polar bears, side table, stop light, stop sign, stop signs, street light,"
    " street lights, street sign, street signs, stuffed animal, stuffed animals, swimming pool, teddy bear,"
    " teddy bears, tennis racket, tennis racquet, traffic light, traffic lights, wine glass, wine glasses"
)
# Nouns that the tagger takes for verbs, adjectives or adverbs: "a kitchen SINK", "an OVEN full of cookies".
OFTEN_MISTAGGED = _words("hydrant oven sink stove")

NUMBERS = {
    **{"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8},
    **{"nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "dozen": 12, "couple": 2, "single": 1},
}
"""Number words and their values; digits are read as they are."""

# Verbs that the tagger takes for plural nouns after their subject: "a red cup STANDS left of",
# "a sheep GRAZES". Verbs of place always are; the others may be nouns, so there only after "a" or "one".
VERBS_OF_PLACE = _words("appears floats hangs hovers leans lies rests sits stands stays")
STEMS_OF_PLACE = _words("float hang hover lean lie rest sit stand")
OTHER_VERBS = _words(
    "balances catches chases climbs crosses drinks drives eats feeds flies grazes hides hits holds jumps lays"
    " looks maneuvers moves passes pecks peers perches plays poses pulls reaches reads rides rolls rubs runs"
    " serves shows ski skis sleeps smiles sprays stares stops surfs swims swings talks throws travels waits"
    " walks watches waves wears works"
)
SINGULAR_DETERMINERS = _words("a an one this each every another")
