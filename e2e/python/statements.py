"""Writes migrations/previous.*.txt from a record of statements; see scripts/statements. Argument: the record."""

import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def shortest(statement):
    """Returns the statement with one value in each `IN` list, one row of `VALUES`, one branch of `CASE` and so on: the
    programs run it in several lengths."""
    statement = re.sub(r"\bIN \(\?(?:, \?)+\)", "IN (?)", statement)
    statement = re.sub(r"(\((?:[^()]|\([^()]*\))*\))(?:, \1)+", r"\1", statement)
    statement = re.sub(r"( WHEN \? THEN \S+)\1+", r"\1", statement)
    return re.sub(r"( UNION ALL .+?)\1+", r"\1", statement)


def main(record):
    found = {"mysql": set(), "sqlite": set()}
    for line in pathlib.Path(record).read_text(encoding="utf-8").splitlines():
        database, statement = line.split("\t", 1)
        found[database].add(shortest(statement))
    release = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    for database, statements in found.items():
        path = ROOT / f"migrations/previous.{database}.txt"
        head = f"# Statements of release {release}, which its processes run beside the next schema. Written by scripts/statements.\n"
        path.write_text(head + "\n".join(sorted(statements)) + "\n", encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(statements)} statements")


main(*sys.argv[1:])
