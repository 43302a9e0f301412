#!/usr/bin/env python3
"""Draws the rows of bench/run (JSON on standard input) as an SVG: bench/plot.py FILE. How many times better, on a logarithmic axis."""
import html
import json
import math
import pathlib
import sys

WIDTH, LABELS, RIGHT, TOP = 1040, 430, 300, 64
BAR_HEIGHT, ROW_GAP = 17, 9  # a row has a bar for each server, one below the other
INK, FAINT, WORSE = "#1f2933", "#d5dae0", "#b8543c"
# Who is compared with: the ratio's field, the server's, its name, its colour.
SERIES = [("better", "reference", "Socket.IO on Node", "#2a7f9e"), ("better_than_bun", "bun", "Socket.IO on Bun", "#8a9a3b")]


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


def legend(series):
    """Which colour is whom."""
    out, x = [], LABELS
    for _, _, name, colour in series:
        out.append(f'<circle cx="{x + 6}" cy="42" r="6" fill="{colour}"/>')
        out.append(text(x + 18, 46, name, size=12))
        x += 160
    out.append(f'<circle cx="{x + 6}" cy="42" r="6" fill="{WORSE}"/>')
    out.append(text(x + 18, 46, "Convene is behind", size=12))
    return out


def figures_of(row, series):
    return " / ".join(number(row[name]) if row[name] is not None else "-" for name in ("convene", *(one[1] for one in series)))


def draw(rows):
    rows = [row for row in rows if row["better"]]
    series = [one for one in SERIES if any(row[one[0]] for row in rows)]
    names = " and ".join(name for _, _, name, _ in series)
    ratios = [row[field] for row in rows for field, *_ in series if row[field]]
    last = max(2, math.ceil(max(ratios)))
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= last * 1.3]
    first = min(0.8, min(ratios))
    span = math.log(last * 1.1 / first)
    row_height = BAR_HEIGHT * len(series) + ROW_GAP
    bottom = TOP + row_height * len(rows)
    height = bottom + 36

    def x_of(value):
        return LABELS + (WIDTH - LABELS - RIGHT) * math.log(value / first) / span

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
           'font-family="system-ui, sans-serif" role="img">',
           f"<title>Convene beside {names}</title>",
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
           text(16, 26, f"How many times better than {names}", size=16, weight="bold"),
           text(16, 46, "same machine, same minute, same load", size=12),
           text(WIDTH - 12, 26, "Convene / " + " / ".join(name.rsplit(" ", 1)[1] for _, _, name, _ in series), "end", 12),
           *legend(series)]
    for tick in ticks:
        if tick < first:
            continue
        x = x_of(tick)
        out.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}" stroke="{INK if tick == 1 else FAINT}"/>')
        out.append(text(x, bottom + 18, f"{tick:g}×", "middle", 12))
    previous = None
    for i, row in enumerate(rows):
        y = TOP + row_height * i
        middle = y + row_height / 2 + 4
        out.append(text(16, middle, label_of(row, previous), size=12))
        for j, (field, _, _, colour) in enumerate(series):
            if not row[field]:
                continue
            start, end = sorted((x_of(1), x_of(row[field])))
            top = y + ROW_GAP / 2 + BAR_HEIGHT * j
            out.append(f'<rect x="{start:.1f}" y="{top:.1f}" width="{max(end - start, 1):.1f}" height="{BAR_HEIGHT - 1}" '
                       f'fill="{colour if row[field] >= 1 else WORSE}"/>')
            out.append(text(end + 6, top + 13, f"{row[field]:.1f}×", size=12, weight="bold"))
        out.append(text(WIDTH - 12, middle, f"{figures_of(row, series)} {row['unit']}", "end", 12))
        previous = row
    out.append("</svg>")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[1]).write_text(draw(json.load(sys.stdin)))
