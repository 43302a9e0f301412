#!/usr/bin/env python3
"""Draws the rows of bench/run (JSON on standard input) as an SVG: bench/plot.py FILE. How many times better, on a logarithmic axis."""
import html
import json
import math
import pathlib
import sys

WIDTH, LABELS, RIGHT, TOP, ROW = 980, 430, 240, 64, 26
INK, FAINT, BAR, WORSE = "#1f2933", "#d5dae0", "#2a7f9e", "#b8543c"


def text(x, y, content, anchor="start", size=13, fill=INK, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{fill}" '
            f'font-weight="{weight}">{html.escape(content)}</text>')


def number(value):
    if value >= 1e6:
        return f"{value / 1e6:.1f} M"
    return f"{value / 1e3:.0f} k" if value >= 1e4 else f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def label_of(row, previous):
    """A row that says 'its ...' or 'the same ...' leans on the one above it: indented, it still does."""
    is_leaning = previous is not None and row["what"].startswith(("its ", "the same"))
    return ("\u2003" if is_leaning else "") + f"{row['what']}"


def draw(rows):
    rows = [row for row in rows if row["better"]]
    last = max(2, math.ceil(max(row["better"] for row in rows)))
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= last * 1.3]
    first = min(0.8, min(row["better"] for row in rows))
    span = math.log(last * 1.1 / first)
    height = TOP + ROW * len(rows) + 36

    def x_of(value):
        return LABELS + (WIDTH - LABELS - RIGHT) * math.log(value / first) / span

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
           'font-family="system-ui, sans-serif" role="img">',
           "<title>Convene beside Socket.IO on Node</title>",
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
           text(16, 26, "How many times better than Socket.IO on Node", size=16, weight="bold"),
           text(16, 46, "same machine, same minute, same load; right of the bars: Convene / reference", size=12)]
    bottom = TOP + ROW * len(rows)
    for tick in ticks:
        if tick < first:
            continue
        x = x_of(tick)
        out.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}" stroke="{INK if tick == 1 else FAINT}"/>')
        out.append(text(x, bottom + 18, f"{tick:g}×", "middle", 12))
    previous = None
    for i, row in enumerate(rows):
        y = TOP + ROW * i
        start, end = sorted((x_of(1), x_of(row["better"])))
        out.append(text(16, y + 17, label_of(row, previous), size=12))
        out.append(f'<rect x="{start:.1f}" y="{y + 4}" width="{max(end - start, 1):.1f}" height="{ROW - 9}" '
                   f'fill="{BAR if row["better"] >= 1 else WORSE}"/>')
        out.append(text(end + 6, y + 17, f"{row['better']:.1f}×", size=12, weight="bold"))
        out.append(text(WIDTH - 12, y + 17, f"{number(row['convene'])} / {number(row['reference'])} {row['unit']}", "end", 12))
        previous = row
    out.append("</svg>")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[1]).write_text(draw(json.load(sys.stdin)))
