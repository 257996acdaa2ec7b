"""Pictures as SVG: bars of a few programs a row, and a line by decades."""
import html
import math

COLOURS = {"moontail": "#2b6cb0", "otelcol": "#c05621", "fluent-bit": "#4a7c59"}
LABEL, BAR, VALUE, LINE = 330, 420, 70, 15


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def text(x, y, content, anchor="start", size=12):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-family="sans-serif" '
            f'font-size="{size}" fill="#333">{html.escape(content)}</text>')


def document(width, height, parts):
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" '
                      f'viewBox="0 0 {width} {height:.0f}">',
                      f'<rect width="{width}" height="{height:.0f}" fill="white"/>', *parts, "</svg>", ""])


def bars(title, groups):
    """groups: [(label, [(program, value)])]"""
    most = max(value for _, values in groups for _, value in values)
    programs = [p for p in COLOURS if any(p == q for _, values in groups for q, _ in values)]
    parts, x, y = [text(10, 22, title, size=15)], 10, 44
    for p in programs:
        parts += [f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{COLOURS[p]}"/>', text(x + 17, y, p)]
        x += 110
    y += 14
    for label, values in groups:
        parts.append(text(LABEL - 8, y + LINE * len(values) / 2 + 4, label, "end"))
        for program, value in values:
            width = max(1, BAR * value / most)
            parts += [f'<rect x="{LABEL}" y="{y + 2}" width="{width:.1f}" height="{LINE - 3}" '
                      f'fill="{COLOURS[program]}"/>', text(LABEL + width + 5, y + LINE - 3, number(value), size=11)]
            y += LINE
        y += 8
    return document(LABEL + BAR + VALUE, y + 4, parts)


def lines(title, points):
    """points: [(x, value)]; x by decades."""
    left, top, width, height = 60, 50, 500, 200
    most = max(v for _, v in points) * 1.25
    low, high = math.log10(points[0][0]), max(math.log10(points[-1][0]), math.log10(points[0][0]) + 1)

    def place(x, value):
        return left + width * (math.log10(x) - low) / (high - low), top + height * (1 - value / most)

    parts = [text(10, 22, title, size=15),
             f'<path d="M{left} {top}V{top + height}H{left + width}" fill="none" stroke="#999"/>']
    for step in range(5):
        value = most * step / 4
        parts.append(text(left - 6, place(points[0][0], value)[1] + 4, number(value), "end", 11))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in points))
    parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS["moontail"]}" stroke-width="2"/>')
    for x, value in points:
        px, py = place(x, value)
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{COLOURS["moontail"]}"/>',
                  text(px, py - 9, number(value), "middle", 11), text(px, top + height + 17, f"{x:,.0f}", "middle", 11)]
    return document(left + width + 50, top + height + 30, parts)
