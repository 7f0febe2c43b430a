"""Checks that the rates that docs/scaling.md takes from docs/benchmarks.md are the ones written there, within 30 %."""

import pathlib
import sys

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(text):
    """Yields each section's heading with the rows of its tables, as dictionaries with the row's first cells as a key."""
    heading, header = "", None
    for line in text.splitlines():
        if line.startswith("## "):
            heading, header = line[3:], None
        elif not line.startswith("|"):
            header = None
        elif header is None:
            header = cells(line)
        elif not set(line) <= set("|-: "):
            yield heading, dict(zip(header, cells(line), strict=True)), cells(line)


def faults(scaling, benchmarks):
    measured = list(tables(benchmarks))
    rows = [row for _, row, _ in tables(scaling) if "benchmark" in row]
    found = [] if len(rows) >= 8 else [f"only {len(rows)} rates are named"]
    for row in rows:
        matching = [
            values for heading, values, first in measured if heading == row["benchmark"] and ", ".join(first).startswith(row["row"] + ",")
        ]
        if len(matching) != 1 or row["column"] not in matching[0]:
            found.append(f"{row['name']}: {len(matching)} rows of the benchmarks match")
            continue
        value = float(matching[0][row["column"]])
        if not 0.7 <= float(row["value"]) / value <= 1.3:
            found.append(f"{row['name']}: {row['value']}, but {value} was measured")
    return found


def main():
    scaling, benchmarks = (DOCS / "scaling.md").read_text(), (DOCS / "benchmarks.md").read_text()
    found = faults(scaling, benchmarks)
    for before, after, fault in [("| 320 |", "| 220 |", "whole way: 220"), ("RabbitMQ, 256", "RabbitMQ, 257", "intake over HTTP: 0 rows")]:
        if not any(one.startswith(fault) for one in faults(scaling.replace(before, after, 1), benchmarks)):
            found.append(f"nothing finds that {after} is wrong")
    print(
        "\n".join(f"scaling: FAILED: {one}" for one in found) or "scaling: docs/scaling.md agrees with docs/benchmarks.md", file=sys.stderr
    )
    sys.exit(bool(found))


main()
