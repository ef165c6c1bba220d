"""The LaTeX table: two small results, written out by hand."""

import re

from pipeline.report.comparison import Difference, Row
from pipeline.report.latex import latex
from pipeline.tables.metrics import BY_KEY, Estimate


def row(
    key: str, values: dict[str, float], apart: dict[str, tuple[float, float]] | None = None, **more
) -> Row:
    """A metric with intervals of 0.1 to either side; `apart`: by arm, half a width and p."""
    arms = {name: Estimate(x, x - 0.1, x + 0.1, 50) for name, x in values.items()}
    differences = {
        name: Difference(Estimate(x := values[name] - values["caption"], x - half, x + half, 50), True, p)
        for name, (half, p) in (apart or {}).items()
    }
    floors = {name: Estimate(x, x, x, 50) for name, x in more.pop("floors", {}).items()}
    return Row(BY_KEY[key], arms, differences, floors, more.pop("ceiling", None), **more)


def test_two_arms_stand_side_by_side_under_their_group() -> None:
    found = latex(
        [
            row(
                "alignment.cosine", {"caption": -0.2, "patch_aligned": 0.5}, {"patch_aligned": (0.1, 0.0001)},
                floors={"untrained projector": -0.05},
            ),
            row("captioning.spice", {}, unmeasured="not measured: no Java"),
            row(
                "referring.accuracy", {"caption": 0.25, "patch_aligned": 0.3}, {"patch_aligned": (0.1, 0.4)},
                floors={"no image: caption": 0.1, "random true box": 0.35, "no image: patch_aligned": 0.2},
                ceiling=Estimate(0.8, 0.7, 0.9, 50),
            ),
        ]
    )  # fmt: skip
    assert "% Captions: SPICE: not measured: no Java\n" in found
    assert found[found.index(r"\begin") :].splitlines() == [
        r"\begin{tabular}{@{}lrrrrrrr@{}}",
        r"\toprule",
        r"Metric & \shortstack[r]{Captions \\ only} & \shortstack[r]{Patch- \\ aligned}"
        r" & Difference [95\,\%] & $p$ & Floor & Ceiling & $n$ \\",
        r"\midrule",
        r"\multicolumn{5}{l}{\textit{Alignment}} \\*",
        r"\quad Cosine of region and words & $-$0.200 & 0.500"
        r" & \textbf{+0.700} [+0.600 to +0.800] & $<$0.001 & $-$0.050$^a$ &  & 50 \\",
        r"\addlinespace",
        r"\multicolumn{5}{l}{\textit{Captions}} \\*",
        r"\quad SPICE & \multicolumn{2}{r}{not measured} \\",
        r"\addlinespace",
        r"\multicolumn{5}{l}{\textit{Referring expressions}} \\*",
        r"\quad Accuracy at IoU 0.5, \% & 25.0 & 30.0"
        r" & +5.0 [$-$5.0 to +15.0] & 0.400 & 35.0$^b$ & 80.0 & 50 \\",
        r"\bottomrule",
        r"\multicolumn{8}{l}{Floors: $^a$ untrained projector, $^b$ random true box.} \\",
        r"\end{tabular}",
    ]


def test_many_arms_stand_below_each_other_under_their_metric() -> None:
    found = latex(
        [
            row(
                "question.accuracy", {"caption": 0.5, "kept": 0.8, "patch_only": 0.4},
                {"kept": (0.1, 0.01), "patch_only": (0.2, 0.3)}, floors={"constant answer": 0.4},
            ),
            row("compression.before", {"caption": 0.3, "kept": 0.3, "patch_only": 0.3}),
        ]
    )  # fmt: skip
    body = found[found.index(r"\endhead") : found.index(r"\end{longtable}")]
    assert (
        body
        == r"""\endhead
\multicolumn{5}{l}{\textit{Questions: Accuracy, \%} (floor 40.0$^a$)} \\*
\quad Captions only & 50.0 [40.0 to 60.0] &  &  &  & 50 \\
\quad Kept & 80.0 [70.0 to 90.0] & \textbf{+30.0} [+20.0 to +40.0] & 0.010 & 0.020 & 50 \\
\quad Patch only & 40.0 [30.0 to 50.0] & $-$10.0 [$-$30.0 to +10.0] & 0.300 & 0.300 & 50 \\
\addlinespace
\multicolumn{5}{l}{\textit{Compression: Entropy before the projector} (in all arms 0.300)} \\*
\bottomrule
\multicolumn{6}{l}{Floors: $^a$ constant answer.} \\
"""
    )


def test_one_arm_has_its_interval() -> None:
    found = latex([row("question.accuracy", {"a_b%": 0.5})])
    assert r"\quad Accuracy, \% & 50.0 [40.0 to 60.0] &  &  & 50 \\" in found
    assert "a_b" not in found and not re.search(r"(?<!\\)%", found.partition(r"\begin")[2])
