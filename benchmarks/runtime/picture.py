"""The results as a picture: for each model, each server's requests/s at 64 connections."""

from pathlib import Path

from benchmarks.runtime.results import OURS, Results, Row

FILE = Path(__file__).resolve().parents[2] / "docs" / "benchmark-runtime.svg"
PARTIAL = Path(__file__).resolve().parents[1] / "results" / "runtime.svg"
"""Where the picture of a run without some of the servers or models goes."""
CONNECTIONS = 64
WIDE, LEFT, BAR, GAP, HEAD = 760, 150, 18, 6, 34
_TEXT = 'font-family="system-ui, sans-serif" font-size="13"'


def draw(results: Results, file: Path) -> None:
    """One bar a server, by its best protocol; the scale is each model's own."""
    rows = [row for row in results.rows() if row.connections == CONNECTIONS]
    parts: list[str] = []
    y = 10
    for model in dict.fromkeys(row.model for row in rows):
        best: dict[str, Row] = {}
        for row in rows:
            if row.model == model and row.rps > getattr(best.get(row.server), "rps", 0):
                best[row.server] = row
        ordered = sorted(best.values(), key=lambda row: -row.rps)
        parts.append(
            f'<text x="10" y="{y + 18}" {_TEXT} font-weight="600">{model}: requests/s, '
            f"{CONNECTIONS} connections</text>"
        )
        y += HEAD
        for row in ordered:
            length = max(2.0, (WIDE - LEFT - 130) * row.rps / ordered[0].rps)
            colour = "#2563eb" if row.server == OURS else "#9ca3af"
            parts.append(
                f'<text x="{LEFT - 8}" y="{y + 14}" {_TEXT} text-anchor="end">{row.server}</text>'
                f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="{BAR}" rx="3" '
                f'fill="{colour}"/><text x="{LEFT + length + 8:.0f}" y="{y + 14}" {_TEXT}>'
                f"{row.rps:,.0f} ({row.protocol})</text>"
            )
            y += BAR + GAP
        y += 14
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {y}" width="{WIDE}" '
        f'height="{y}" role="img" aria-label="Requests per second of each server">'
        f'<rect width="{WIDE}" height="{y}" fill="#ffffff"/><g fill="#111827">{"".join(parts)}'
        "</g></svg>\n"
    )
