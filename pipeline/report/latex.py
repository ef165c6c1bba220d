"""The results as a LaTeX table for a paper: those of `pipeline.report.exports`, narrow enough for a page.

Up to two arms stand side by side, under each group of metrics; more of them below each other, under each
metric, in a longtable. In ``\\scriptsize`` either fits 17 cm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from pipeline.report import arms
from pipeline.report.comparison import Row
from pipeline.report.exports import arms_of, notes, p_text, title_of, with_interval
from pipeline.report.style import MINUS, number

_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "²": "$^2$",
    "<": "$<$",
    MINUS: "$-$",
}
_INTERVAL = r"[95\,\%]"

Letters = dict[str, str]
"""By kind of floor, the letter that it goes by."""


def latex(rows: Sequence[Row]) -> str:
    """The whole table.

    Differences whose 95 % interval excludes zero are bold. Of a metric's floors the best one is shown, with a
    letter that the last line explains. Why a metric was not measured stands in a comment.
    """
    names = arms_of(rows)
    many = len(names) > 2
    letters: Letters = {}
    if many:
        head = ["Arm", f"Value {_INTERVAL}", f"Difference {_INTERVAL}", "$p$", "Holm", "$n$"]
        body = [line for row in rows for line in _below_each_other(row, letters)]
    else:
        apart = [f"Difference {_INTERVAL}", "$p$"] if len(names) == 2 else []
        head = ["Metric", *map(_narrow, names), *apart, "Floor", "Ceiling", "$n$"]
        body = list(_side_by_side(rows, names, letters))
    kind, packages = ("longtable", "booktabs, longtable") if many else ("tabular", "booktabs")
    said = [*notes(names), *(f"{title_of(row)}: {row.unmeasured}" for row in rows if row.unmeasured)]
    floors = ", ".join(f"$^{letter}$ {_tex(name)}" for name, letter in letters.items())
    return "\n".join(
        [
            rf"% needs \usepackage{{{packages}}}; in \scriptsize, with \tabcolsep=3pt, it fits 17 cm",
            *(f"% {note}" for note in said),
            rf"\begin{{{kind}}}{{@{{}}l{'r' * (len(head) - 1)}@{{}}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *([r"\endhead"] if many else []),
            *body[1:],  # without the space above the first heading
            r"\bottomrule",
            *([rf"\multicolumn{{{len(head)}}}{{l}}{{Floors: {floors}.}} \\"] if floors else []),
            rf"\end{{{kind}}}",
            "",
        ]
    )


def _side_by_side(rows: Sequence[Row], names: Sequence[str], letters: Letters) -> Iterator[str]:
    for group, members in groupby(rows, lambda row: row.metric.group):
        yield from _heading(_tex(group))
        for row in members:
            title = r"\quad " + _tex(title_of(row).removeprefix(f"{group}: "))
            if row.unmeasured:
                yield title + r" & \multicolumn{2}{r}{not measured} \\"
                continue
            values = [number(row.arms[arm].value, row.metric) if arm in row.arms else "" for arm in names]
            if len(names) == 1:
                values = [with_interval(row, row.arms[names[0]])]
            apart = list(_difference(row, names[1])) if len(names) == 2 else []
            ceiling = number(row.ceiling.value, row.metric) if row.ceiling else ""
            examples = str(max(mine.n for mine in row.arms.values()))
            cells = [*map(_tex, values), *apart, _floor(row, letters), _tex(ceiling), examples]
            yield " & ".join([title, *cells]) + r" \\"


def _below_each_other(row: Row, letters: Letters) -> Iterator[str]:
    floor, adjusted = _floor(row, letters), row.adjusted()
    ceiling = _tex(number(row.ceiling.value, row.metric)) if row.ceiling else ""
    beside = [f"floor {floor}" if floor else "", f"ceiling {ceiling}" if ceiling else ""]
    beside += ["" if row.arms else "not measured"]
    if row.same:
        beside += [f"in all arms {_tex(number(next(iter(row.arms.values())).value, row.metric))}"]
    yield from _heading(_tex(title_of(row)), "; ".join(filter(None, beside)))
    for arm, mine in {} if row.same else row.arms.items():
        held = _tex(p_text(adjusted.get(arm)))
        cells = [_tex(with_interval(row, mine)), *_difference(row, arm), held, str(mine.n)]
        yield " & ".join([r"\quad " + _tex(arms.title(arm)), *cells]) + r" \\"


def _heading(text: str, said: str = "") -> tuple[str, str]:
    more = f" ({said})" if said else ""
    return r"\addlinespace", rf"\multicolumn{{5}}{{l}}{{\textit{{{text}}}{more}}} \\*"


def _difference(row: Row, arm: str) -> tuple[str, str]:
    """An arm's difference, and its p."""
    apart = row.differences.get(arm)
    if apart is None:
        return "", ""
    value, _, bounds = _tex(with_interval(row, apart.estimate, signed=True)).partition(" ")
    bold = row.verdict(arm) in ("better", "worse")
    return (rf"\textbf{{{value}}} {bounds}" if bold else f"{value} {bounds}"), _tex(p_text(apart.p))


def _floor(row: Row, letters: Letters) -> str:
    """The best of a metric's floors, where one way is good."""
    direction = row.metric.direction
    if not row.floors or direction == 0:
        return ""
    name, best = max(row.floors.items(), key=lambda item: direction * item[1].value)
    kind = name.partition(":")[0]
    letter = letters.setdefault(kind, "abcdefgh"[len(letters)])
    return f"{_tex(number(best.value, row.metric))}$^{letter}$"


def _narrow(arm: str) -> str:
    """An arm's title, its words below each other."""
    lines = r" \\ ".join(_tex(arms.title(arm)).replace("-", "- ").split())
    return rf"\shortstack[r]{{{lines}}}"


def _tex(text: str) -> str:
    return "".join(_ESCAPES.get(sign, sign) for sign in text)
