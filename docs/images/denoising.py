#!/usr/bin/env python3
"""Draws a page of `masque sample --html PAGE` as one picture for a README: a generation at a few steps.

    python3 docs/images/denoising.py PAGE [ROWS] > docs/images/denoising.svg

A row a step; what was written since the row before is shaded by how probable it was to the model, what was
given is bold, a blank is a dot, the end of a line is a return sign.
"""

import json
import re
import sys
from xml.sax.saxutils import escape

CELL, ROW, LEFT, SIZE = 8.6, 30, 86, 14  # pixels: a character, a row, what is left of the text; of the font
BLANK = "_"


def chosen(frames, rows):
    """Frames at about equal shares of what is written, the first and the last among them."""
    blanks = [frame["text"].count(BLANK) for frame in frames]
    wanted = [blanks[0] + (blanks[-1] - blanks[0]) * row / (rows - 1) for row in range(rows)]
    return [min(range(len(frames)), key=lambda i: abs(blanks[i] - share)) for share in wanted]


def colours(page):
    """The page's own: text, remarks and shades, light and dark; and how much shade each confidence has."""
    named = re.findall(r"--(ink|soft|llada): (#\w+)", page)  # the light theme's, then the dark one's
    shares = re.findall(r"\.f\d \{ --share: (\d+)%", page)
    return dict(named[:3]), dict(named[3:6]), [int(share) / 100 for share in shares]


def draw(page, frames, rows):
    light, dark, shares = colours(page)
    steps = chosen(frames, rows)
    given = {i for i, c in enumerate(frames[0]["text"]) if c != BLANK}
    width = LEFT + CELL * len(frames[0]["text"]) + 8
    shades = " ".join(f".s{i} {{ fill-opacity: {share}; }}" for i, share in enumerate(shares))

    def theme(colour):
        return (f"text {{ fill: {colour['ink']}; }} .step, .blank {{ fill: {colour['soft']}; }} "
                f"rect {{ fill: {colour['llada']}; }}")

    last = len(frames) - 1
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {ROW * rows + 8}" role="img" '
        f'aria-labelledby="title" font-size="{SIZE}">',
        f'  <title id="title">{escape("LLaDA writes: " + frames[last]["text"])}</title>',
        "  <style>",
        "    text { font-family: ui-monospace, 'DejaVu Sans Mono', monospace; text-anchor: middle; }",
        "    .step { font-family: system-ui, sans-serif; font-size: 12px; text-anchor: start; }",
        f"    .given {{ font-weight: 700; }} {shades}",
        f"    {theme(light)}",
        f"    @media (prefers-color-scheme: dark) {{ {theme(dark)} }}",
        "  </style>",
    ]
    before = 0
    for row, step in enumerate(steps):
        y = ROW * row + 21
        lines.append(f'  <text class="step" x="0" y="{y}">step {step} of {last}</text>')
        fresh = {}
        for frame in frames[before + 1: step + 1]:
            fresh.update(zip(frame["fresh"], frame["confidence"]))
        before = step
        for i, character in enumerate(frames[step]["text"]):
            x = LEFT + CELL * (i + 0.5)
            if i in fresh and character != BLANK:
                shade = min(int(fresh[i] * len(shares)), len(shares) - 1)
                lines.append(f'  <rect class="s{shade}" x="{x - CELL / 2:.1f}" y="{y - 15}" width="{CELL}" height="20"/>')
            if character == " ":
                continue
            shown = {BLANK: "·", "\n": "↵"}.get(character, character)
            kind = ' class="blank"' if character in BLANK + "\n" else ' class="given"' if i in given else ""
            lines.append(f'  <text{kind} x="{x:.1f}" y="{y}">{escape(shown)}</text>')
    return "\n".join(lines + ["</svg>"])


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    page = open(sys.argv[1], encoding="utf-8").read()
    data = re.search(r'<script type="application/json">(.*?)</script>', page, re.S)
    if not data:
        sys.exit(f"{sys.argv[1]}: no page of masque sample --html")
    print(draw(page, json.loads(data.group(1))[0]["frames"], int(sys.argv[2]) if len(sys.argv) > 2 else 5))


if __name__ == "__main__":
    main()
