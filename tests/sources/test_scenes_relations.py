"""Relations of places, worked by hand on a picture 100 pixels wide."""

import pytest

from pipeline.sources.scenes.relations import ABOVE, BELOW, LEFT, RIGHT, Places
from pipeline.sources.scenes.world import Scene, Thing


def places(*centres: tuple[int, int], hides: frozenset[tuple[int, int]] = frozenset()) -> Places:
    """Objects 20 pixels wide and high around the centres."""
    boxes = tuple((x - 10, y - 10, x + 10, y + 10) for x, y in centres)
    things = tuple(Thing("cup", "red", "plain", "", 20.0, 1.0, 0.0) for _ in centres)
    return Places(Scene(100, things, boxes, ({},) * len(centres), hides, "grey", b""))


@pytest.mark.parametrize(
    ("other", "clearly", "possibly"),
    [
        ((70, 50), {LEFT}, {LEFT}),
        ((55, 50), set(), {LEFT}),  # a nudge to the side is not clear
        ((70, 90), {ABOVE}, {ABOVE, LEFT}),  # more above than beside
        ((50, 30), {BELOW}, {BELOW}),
        ((30, 70), {RIGHT, ABOVE}, {RIGHT, ABOVE}),  # an exact diagonal is both
        ((50, 50), set(), set()),
    ],
)
def test_the_first_of_two(other, clearly, possibly):
    two = places((50, 50), other)
    assert {way for way in (LEFT, RIGHT, ABOVE, BELOW) if two.clearly(way, 0, 1)} == clearly
    assert {way for way in (LEFT, RIGHT, ABOVE, BELOW) if two.possibly(way, 0, 1)} == possibly


def test_the_only_one_on_a_side_has_no_rival_that_might_be_meant():
    assert places((50, 50), (20, 50), (80, 50)).only(LEFT, [1, 2], 0) == 1
    # The second is left of the anchor by a hair: "the thing left of it" is a matter of opinion.
    assert places((50, 50), (20, 50), (49, 90)).only(LEFT, [1, 2], 0) is None
    assert places((50, 50), (49, 90)).only(LEFT, [1], 0) is None


def test_neighbours_are_level_and_close():
    assert places((30, 50), (60, 55)).beside(0, 1)
    assert not places((30, 50), (70, 50)).beside(0, 1)  # 20 pixels between them
    assert not places((30, 50), (60, 65)).beside(0, 1)  # not level


def test_between_is_near_the_line_and_inside_its_ends():
    assert places((50, 52), (20, 50), (80, 50)).between(0, 1, 2)
    assert not places((50, 70), (20, 50), (80, 50)).between(0, 1, 2)
    assert not places((25, 50), (20, 50), (80, 50)).between(0, 1, 2)
    assert not places((50, 50), (40, 50), (60, 50)).between(0, 1, 2)  # too crowded to say


def test_a_line_is_refused_when_two_are_too_close_to_call():
    assert places((80, 0), (20, 0), (50, 0)).in_line([0, 1, 2]) == [1, 2, 0]
    assert places((80, 0), (20, 0), (27, 0)).in_line([0, 1, 2]) is None
    assert places((0, 80), (0, 20)).in_line([0, 1], axis=1) == [1, 0]


def test_in_front_is_what_hides():
    two = places((50, 50), (55, 55), hides=frozenset({(1, 0)}))
    assert two.in_front(1, 0) and not two.in_front(0, 1)
