"""The waterfall: who stands with whom, and where the bars are."""

from __future__ import annotations

from otelbridge.page.waterfall import MAX_TOOL_ROWS, SHOWN, WIDTH, groups
from tests.page.views import brief, tool
from tests.records import uuid


def test_a_session_is_a_group_and_the_one_with_the_newest_row_comes_first() -> None:
    found = groups([brief(1, 0), brief(2, 5, session="b"), brief(3, 9), brief(4, 1, session="c")])

    assert [(each.session, [row.brief.id for row in each.rows]) for each in found] == [
        ("session-1", [uuid(1), uuid(3)]),
        ("b", [uuid(2)]),
        ("c", [uuid(4)]),
    ]


def test_without_a_session_a_thread_is_a_group() -> None:
    root, other = brief(1, session=""), brief(2, 1, session="")
    follow_up = brief(3, 4, session="", root_id=uuid(1), parent_id=uuid(1))

    found = groups([root, other, follow_up])

    assert [[row.brief.id for row in each.rows] for each in found] == [
        [uuid(1), uuid(3)],
        [uuid(2)],
    ]
    assert [row.is_follow_up for row in found[0].rows] == [False, True]


def test_two_clients_that_use_one_name_are_two_groups() -> None:
    assert len(groups([brief(1, client="a"), brief(2, client="b")])) == 2


def test_a_session_that_paused_goes_on_in_another_group() -> None:
    found = groups([brief(1, 0, 2), brief(2, 302, 1), brief(3, 603.1, 1)])

    assert [[row.brief.id for row in each.rows] for each in found] == [
        [uuid(3)],
        [uuid(1), uuid(2)],
    ]


def test_a_bar_stands_where_its_interception_ran() -> None:
    (group,) = groups([brief(1, 0, 2), brief(2, 2, 6), brief(3, 10, 0)])

    assert [(row.x, row.width) for row in group.rows] == [(0, 200), (200, 600), (WIDTH - 6, 6)]


def test_an_interception_without_length_can_be_seen() -> None:
    (group,) = groups([brief(1, 0, 0)])

    assert (group.rows[0].x, group.rows[0].width) == (0, 6)


def test_a_group_adds_up() -> None:
    (group,) = groups(
        [brief(1), brief(2, 1, tokens=None, cost=None), brief(3, 2, error_type="overloaded")]
    )

    assert (group.input, group.output, group.cost_nanos) == (200, 40, 24_600_000)
    assert (group.errors, group.lasted_ns) == (1, 4 * 10**9)


def test_tools_that_the_gateway_ran_have_rows_up_to_a_number() -> None:
    tools = tuple(tool(f"t{number}", at_s=1, injected=True) for number in range(MAX_TOOL_ROWS + 2))

    (group,) = groups([brief(1, tools=tools)])

    (row,) = group.rows
    assert [(each.tool.name, each.x) for each in row.tools] == [
        (f"t{number}", 500) for number in range(MAX_TOOL_ROWS)
    ]
    assert row.more_tools == 2
    assert row.asked == []


def test_a_tool_s_mark_is_within_the_drawing_whenever_it_was() -> None:
    tools = (tool(at_s=-5, injected=True), tool(at_s=500, injected=True))

    (group,) = groups([brief(1, tools=tools)])

    assert [each.x for each in group.rows[0].tools] == [0, WIDTH - 6]


def test_of_many_the_newest_are_shown() -> None:
    found = groups(brief(number, number) for number in range(1, SHOWN + 11))

    rows = [row for each in found for row in each.rows]
    assert len(rows) == SHOWN
    assert rows[0].brief.id == uuid(11)
