"""The results as text: a table for each model, then the bars."""

import statistics

from benchmarks.runtime.bars import Verdict
from benchmarks.runtime.results import OURS, Key, Results


def tables(results: Results) -> str:
    lines: list[str] = []
    models = list(dict.fromkeys(key.model for key in results.loads))
    for model in models:
        lines += ["", model]
        lines.append(
            f"{'server':>11} {'protocol':>8} {'conn':>5} {'requests/s':>11} {'p50 ms':>8} "
            f"{'p99 ms':>8} {'errors':>6} {'MB':>6} {'start s':>7}  ours / theirs"
        )
        rows = [row for row in results.rows() if row.model == model]
        rows.sort(key=lambda row: (row.connections, -row.rps))
        before = 0
        for row in rows:
            if row.connections != before:
                lines.append("")
                before = row.connections
            key = Key(row.server, model, row.protocol, row.connections)
            lines.append(
                f"{row.server:>11} {row.protocol:>8} {row.connections:5} {row.rps:11,.0f} "
                f"{row.p50_ms:8.2f} {row.p99_ms:8.2f} {row.errors:6} {row.pss_mb:6.0f} "
                f"{row.start_s:7.2f}  {_ratio(results, key)}"
            )
        if bare := results.bare.get(model):
            lines += ["", f"{_bare(results, model, bare)}"]
    return "\n".join(lines)


def _bare(results: Results, model: str, bare: list[float]) -> str:
    middle = statistics.median(bare)
    text = (
        f"{'bare model':>11} {'in a loop of batches of 32':>25} {middle:,.0f} rows/s "
        f"({min(bare):,.0f} to {max(bare):,.0f})"
    )
    rows = [row.rps for row in results.rows() if row.server == OURS and row.model == model]
    return f"{text}; ours reaches {max(rows) / middle:.0%} of it" if rows and middle else text


def _ratio(results: Results, key: Key) -> str:
    """Against ours over the same kind of body where that was measured, else over our binary."""
    if key.server == OURS:
        return ""
    ours = Key(OURS, key.model, key.protocol, key.connections)
    if ours not in results.loads:
        ours = Key(OURS, key.model, "binary", key.connections)
    ratios = results.ratios(ours, key)
    if not ratios:
        return ""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def bars(verdicts: list[Verdict]) -> str:
    words = {True: "met", False: "MISSED", None: "-"}
    wide = max(len(verdict.what) for verdict in verdicts)
    return "\n".join(f"{words[v.met]:>6}  {v.what:{wide}}  {v.bar:>10}  {v.got}" for v in verdicts)
