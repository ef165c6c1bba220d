"""Referring expressions, questions and instructions, checked by a slow reader of English.

The reader takes the finished texts and the objects table, and nothing of the code that wrote the texts.
"""

import re
from collections import Counter
from itertools import pairwise

import pytest
from scenes_world import SIDES, Row, described, rows, side_of, singular

EVERY = pytest.mark.parametrize("rich", [False, True])
MARGIN = 0.08
EXTREMES = {"leftmost": (0, 1), "rightmost": (0, -1), "highest": (1, 1), "lowest": (1, -1)}
NUMBER = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


def examples(rich: bool, task: str, kind: str | None = None):
    for row in rows(rich):
        for held in row.conversations:
            if held["task"] == task and (kind is None or held["kind"] == kind):
                yield row, held, held["turns"][0]["text"], held["answer"]


def meant(row: Row, expression: str) -> list[int]:
    """The objects that an expression such as "the lowest cup left of the red star" may be true of."""
    related = re.fullmatch(r"(?:the )?(.*?) (left of|right of|above|below) the (.*)", expression)
    if related:
        head, relation, anchor_words = related.groups()
        (anchor,) = described(row, anchor_words.split())
        among = [i for i in described(row, head.split()) if i != anchor]
        return [i for i in among if side_of(row, relation, i, anchor) > 0]
    words = expression.removeprefix("the ").split()
    extreme = EXTREMES.get(words[0])
    if extreme is None:
        return described(row, words)
    axis, sign = extreme
    among = described(row, words[1:])
    best = min(sign * row.centre(i, axis) for i in among)
    return [i for i in among if sign * row.centre(i, axis) < best + MARGIN]


def expression_in(prompt: str) -> str:
    found = re.search(r"(the (?!box).*?)( in)?[.?]$", prompt)
    assert found, prompt
    return found[1]


@EVERY
def test_a_referring_expression_is_true_of_exactly_its_target(rich):
    for row, held, prompt, answer in examples(rich, "referring"):
        (target,) = meant(row, expression_in(prompt))
        assert row.objects[target]["box"] == held["box"]
        assert answer == "<box>"


@EVERY
def test_an_attribute_expression_says_an_attribute_and_a_relation_one_a_place(rich):
    for row, held, prompt, _ in examples(rich, "referring"):
        words = expression_in(prompt).split()
        placed = any(word in SIDES or word in EXTREMES or word in ("left", "right") for word in words)
        if held["kind"] == "relation":
            assert placed
            # The words before the place are true of several: without the place they would not do.
            head = next(word for word in words[1:] if word not in EXTREMES)
            assert len(described(row, [head])) > 1
        else:
            assert not placed and len(words) >= 3


@EVERY
def test_referring_targets_are_distinct_and_three_a_scene_where_possible(rich):
    counts = Counter()
    for row in rows(rich):
        boxes = [tuple(held["box"]) for held in row.conversations if held["task"] == "referring"]
        assert len(set(boxes)) == len(boxes) <= 3
        counts[min(3, len(row.objects)) - len(boxes)] += 1
    assert counts[0] > 0.9 * len(rows(rich))


def test_attributes_and_relations_are_both_asked_and_mostly_needed():
    kinds = Counter(held["kind"] for _, held, _, _ in examples(False, "referring"))
    assert 0.35 < kinds["attribute"] / kinds.total() < 0.65
    needed = [
        len(described(row, [expression_in(prompt).split()[-1]])) > 1
        for row, _, prompt, _ in examples(False, "referring", "attribute")
    ]
    assert sum(needed) > 0.75 * len(needed)


@EVERY
def test_a_region_is_named_by_its_colour_and_noun(rich):
    for row, held, prompt, answer in examples(rich, "region"):
        assert prompt.count("<box>") == 1
        (thing,) = [thing for thing in row.objects if thing["box"] == held["box"]]
        assert re.sub("^an? ", "", answer) == f"{thing['attributes'][0]} {thing['label']}"


def name(thing: dict) -> str:
    return f"{thing['attributes'][0]} {thing['label']}"


@EVERY
def test_colours_are_right_and_of_the_only_one(rich):
    for row, _, prompt, answer in examples(rich, "question", "colour"):
        (only,) = described(row, [re.fullmatch(r"(?:What|Which) colour is the (\w+)\?", prompt)[1]])
        assert answer == row.objects[only]["attributes"][0]


@EVERY
def test_counts_are_right(rich):
    for row, _, prompt, answer in examples(rich, "question", "count"):
        words = re.fullmatch(r"How many (.*) are there\?", prompt)[1].split()
        assert NUMBER[answer] == len(described(row, words))


@EVERY
def test_what_is_said_to_exist_does(rich):
    for row, _, prompt, answer in examples(rich, "question", "existence"):
        words = re.fullmatch(r"(?:Is there|Can you see) an? (.*)\?", prompt)[1].split()
        assert answer == ("yes" if described(row, words) else "no")


@EVERY
def test_relations_asked_for_are_right_and_beyond_dispute(rich):
    seen = Counter()
    for row, _, prompt, answer in examples(rich, "question", "relation"):
        asked = re.fullmatch(r"Is the (.*) (left of|right of|above|below) the (.*)\?", prompt)
        if asked:
            (first,), (second,) = described(row, asked[1].split()), described(row, asked[3].split())
            offset = side_of(row, asked[2], first, second)
            assert abs(offset) > 0.1
            assert answer == ("yes" if offset > 0 else "no")
        else:
            relation, words = re.fullmatch(
                r"What is (left of|right of|above|below) the (.*)\?", prompt
            ).groups()
            (only,) = meant(row, f"thing {relation} the {words}")
            assert re.sub("^an? ", "", answer) == name(row.objects[only])
        seen[bool(asked)] += 1
    assert min(seen.values()) > 50


def test_no_answer_wins_by_being_common():
    for kind, share in (("colour", 0.25), ("count", 0.4), ("existence", 0.6), ("relation", 0.45)):
        answers = Counter(answer for _, _, _, answer in examples(False, "question", kind))
        assert answers.most_common(1)[0][1] < share * answers.total(), (kind, answers.most_common(3))
    existence = Counter(answer for _, _, _, answer in examples(False, "question", "existence"))
    assert 0.4 < existence["yes"] / existence.total() < 0.6
    relation = Counter(answer for _, _, _, answer in examples(False, "question", "relation"))
    assert 0.4 < relation["yes"] / (relation["yes"] + relation["no"]) < 0.6


def test_an_absent_thing_is_mostly_the_right_noun_in_the_wrong_colour():
    hard = []
    for row, _, prompt, answer in examples(False, "question", "existence"):
        if answer == "no":
            hard.append(bool(described(row, [prompt.removesuffix("?").split()[-1]])))
    assert sum(hard) > 0.5 * len(hard)


def from_left(row: Row, among: list[int]) -> list[int]:
    line = sorted(among, key=lambda i: row.centre(i, 0))
    for a, b in pairwise(line):
        assert row.centre(b, 0) - row.centre(a, 0) >= MARGIN
    return line


@EVERY
def test_instructions_are_followed_by_their_answers(rich):
    for row, held, prompt, answer in examples(rich, "instruction"):
        everything = list(range(len(row.objects)))
        if held["kind"] == "left_to_right":
            assert answer.split(", ") == [row.objects[i]["label"] for i in from_left(row, everything)]
        elif held["kind"] == "noun_colour":
            line = [row.objects[i] for i in from_left(row, everything)]
            said = [f"{thing['label']}: {thing['attributes'][0]}" for thing in line]
            assert answer.split("; ") == said
        elif held["kind"] == "only_colour":
            colour = re.search(r"only the (\w+) things", prompt)[1]
            line = from_left(row, described(row, [colour]))
            assert answer == (", ".join(row.objects[i]["label"] for i in line) or "none")
        else:
            assert held["kind"] == "one_word" and " " not in answer
            if found := re.search(r"what colour is the (\w+)\?$", prompt):
                (only,) = described(row, [found[1]])
                assert answer == row.objects[only]["attributes"][0]
            else:
                (only,) = described(row, re.search(r"what is the (\w+ thing)\?$", prompt)[1].split())
                assert answer == row.objects[only]["label"]


@EVERY
def test_each_scene_has_its_share_of_every_task(rich):
    for row in rows(rich):
        tasks = Counter(held["task"] for held in row.conversations)
        assert (tasks["region"], tasks["caption"], tasks["question"]) == (1, 1, 4)
        assert tasks["instruction"] <= 2 and tasks["referring"] <= 3
        prompts = [held["turns"][0]["text"] for held in row.conversations if held["task"] != "referring"]
        assert len(set(prompts)) == len(prompts)
    kinds = Counter(held["kind"] for _, held, _, _ in examples(rich, "instruction"))
    assert set(kinds) == {"left_to_right", "one_word", "only_colour", "noun_colour"}
    assert min(kinds.values()) > 0.05 * kinds.total()


def test_a_caption_example_ends_in_one_of_the_captions():
    for row, _, _, answer in examples(False, "caption"):
        assert answer in [held["text"] for held in row.captions]


def test_the_reader_itself_reads_a_scene_worked_by_hand():
    cup = {"label": "cup", "attributes": ["red", "small"], "box": [0, 0, 10, 10]}
    other = {"label": "cup", "attributes": ["blue"], "box": [50, 0, 60, 10]}
    star = {"label": "star", "attributes": ["red"], "box": [80, 80, 90, 90]}
    row = Row({"width": 100}, [], [cup, other, star], [])
    assert meant(row, "the red cup") == [0]
    assert meant(row, "the small cup") == [0]
    assert meant(row, "the red thing") == [0, 2]
    assert meant(row, "the cup left of the star") == [0, 1]
    assert meant(row, "the cup right of the red cup") == [1]
    assert meant(row, "the lowest thing") == [2]
    assert meant(row, "the highest cup") == [0, 1]
    assert (singular("crosses"), singular("leaves"), singular("cups")) == ("cross", "leaf", "cup")
