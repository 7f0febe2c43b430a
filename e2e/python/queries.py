"""Checks the Prometheus queries in deploy/ with Prometheus' grammar.

Arguments: the alert rules, Prometheus' configuration and the dashboards. Reads the existing metrics from standard input,
as `{name: {"kind", "labels", "help"}}`. Prints one line per fault, and fails if there is any.
"""

import json
import re
import sys

import promql_parser as promql
import yaml

METRICS = json.load(sys.stdin)
# Labels that Prometheus adds to every target.
OF_TARGETS = {"job", "instance"}
RULE = {"alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
KEEP_THEIR_LABELS = {"topk", "bottomk"}
OF_COUNTERS = {"rate", "irate", "increase", "resets"}
faults = []


class Strictly(yaml.SafeLoader):
    """A YAML loader that refuses duplicate keys, as Prometheus does."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"twice in one place: {sorted(map(str, twice))}")
        return super().construct_mapping(node, deep)


class Query:
    """A parsed expression. `labels` are the possible labels of its result, or `None` if it has no series."""

    def __init__(self, where, text, jobs):
        self.where, self.jobs, self.labels = where, jobs, None
        try:
            self.labels = self.of(promql.parse(text))
        except ValueError as error:
            self.fault(f"{error}: {text}")

    def fault(self, what):
        faults.append(f"{self.where}: {what}")

    def of(self, expr):
        match expr:
            case promql.VectorSelector():
                return self.of_selector(expr)
            case promql.MatrixSelector():
                return self.of_selector(expr.vector_selector)
            case promql.AggregateExpr():
                return self.of_aggregation(expr)
            case promql.BinaryExpr():
                return self.of_pair(expr)
            case promql.Call():
                return self.of_call(expr)
            case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
                return self.of(expr.expr)
            case promql.NumberLiteral() | promql.StringLiteral():
                return None
        raise ValueError(f"what is a {type(expr).__name__}?")

    def of_selector(self, selector):
        name = selector.name
        if name == "up":
            metric, labels = {"help": ""}, set(OF_TARGETS)
        else:
            metric, labels = self.series(name)
        if metric is None:
            self.fault(f"there is no metric {name}")
            return labels
        for matcher in selector.matchers.matchers:
            if matcher.name not in labels:
                self.fault(f"{name} has no label {matcher.name}")
            for word in matcher.value.split("|") if matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe) else [matcher.value]:
                if not self.can_be(metric, matcher.name, word):
                    self.fault(f"{name} never has {matcher.name}={word}")
        return labels

    def series(self, name):
        if (metric := METRICS.get(name)) and metric["kind"] != "histogram":
            return metric, {*metric["labels"], *OF_TARGETS}
        base, _, end = (name or "").rpartition("_")
        if end in ("bucket", "sum", "count") and (metric := METRICS.get(base)) and metric["kind"] == "histogram":
            # The series of a histogram are counters.
            return {**metric, "kind": "counter"}, {*metric["labels"], *OF_TARGETS, *(["le"] if end == "bucket" else [])}
        return None, set(OF_TARGETS)

    def can_be(self, metric, label, word):
        if label == "job":
            return word in self.jobs
        if label == "status" and re.fullmatch(r"[1-5]\d\d", word):
            return True
        # The help of a metric lists the values of its labels.
        return label in ("instance", "le", "route") or re.search(rf"\b{re.escape(word)}\b", metric["help"])

    def known(self, wanted, labels):
        for label in sorted(set(wanted) - (labels or set())):
            self.fault(f"there is no label {label} here, only {sorted(labels or [])}")
        return set(wanted)

    def of_aggregation(self, expr):
        labels = self.of(expr.expr)
        if str(expr.op) in KEEP_THEIR_LABELS:
            return labels
        if expr.modifier is None:
            return set()
        wanted = self.known(expr.modifier.labels, labels)
        return wanted if expr.modifier.type == promql.AggModifierType.By else (labels or set()) - wanted

    def of_pair(self, expr):
        left, right = self.of(expr.lhs), self.of(expr.rhs)
        if left is None or right is None:
            return right if left is None else left
        matching = expr.modifier and expr.modifier.matching
        if matching:
            for side in (left, right):
                self.known(matching.labels, side)
        return left | right if str(expr.op) == "or" else left

    def of_call(self, expr):
        name, labels = expr.func.name, None
        for argument in expr.args:
            of_argument = self.of(argument)
            labels = labels if of_argument is None else of_argument
            if name in OF_COUNTERS and isinstance(argument, promql.MatrixSelector):
                metric, _ = self.series(argument.vector_selector.name)
                if metric and metric["kind"] != "counter":
                    self.fault(f"{name} of {argument.vector_selector.name}, which is a {metric['kind']}")
        if name == "histogram_quantile":
            self.known(["le"], labels)
            labels = (labels or set()) - {"le"}
        return labels

    def can_tell(self, template, pattern):
        told = re.findall(pattern, template)
        self.known(told, self.labels)
        return len(told)


def rules(path, jobs):
    with open(path, encoding="utf-8") as file:
        document = yaml.load(file, Strictly)
    shape(path, document, {"groups"}, {"groups"})
    names = []
    for group in document.get("groups", []):
        shape(f"{path}: a group", group, {"name", "rules"}, {"name", "rules", "interval", "limit"})
        names.append(group.get("name"))
        for rule in group.get("rules", []):
            names.append(rule.get("alert"))
            alert(f"{path}: {rule.get('alert')}", rule, jobs)
    for name in {name for name in names if names.count(name) > 1}:
        faults.append(f"{path}: {name} is there twice")
    return len(names)


def shape(where, value, must, may):
    if not isinstance(value, dict) or not must <= value.keys() <= may:
        faults.append(f"{where}: wants {sorted(must)}, may have {sorted(may)}, has {sorted(value) if value else value}")


def alert(where, rule, jobs):
    shape(where, rule, {"alert", "expr", "labels", "annotations"}, RULE)
    if not re.fullmatch(r"[A-Z][A-Za-z]+", str(rule.get("alert"))):
        faults.append(f"{where}: is no name")
    for key in ("for", "keep_firing_for"):
        try:
            promql.parse_duration(str(rule.get(key, "1m")))
        except ValueError as error:
            faults.append(f"{where}: {key}: {error}")
    labels, annotations = rule.get("labels", {}), rule.get("annotations", {})
    if labels.get("severity") not in ("page", "ticket"):
        faults.append(f"{where}: its severity is {labels.get('severity')}")
    if not str(annotations.get("summary", "")).strip():
        faults.append(f"{where}: has no summary")
    if not str(annotations.get("runbook_url", "")).strip():
        faults.append(f"{where}: has no runbook_url")
    query = Query(where, str(rule.get("expr")), jobs)
    for key, text in [*labels.items(), *annotations.items()]:
        if not isinstance(text, str):
            faults.append(f"{where}: {key} is no text")
            continue
        braces = re.findall(r"{{.*?}}", text)
        understood = query.can_tell(text, r"{{ \$labels\.(\w+) }}") + text.count("{{ $value }}")
        if len(braces) != understood or text.count("{{") != len(braces):
            faults.append(f"{where}: {key} has braces that tell nothing: {braces}")


def dashboard(path, jobs):
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    sources = {"${%s}" % one["name"] for one in document["templating"]["list"]}
    seen, asked = set(), 0
    for panel in document["panels"]:
        where = f"{path}: {panel['title']}"
        if panel["id"] in seen or panel["datasource"]["uid"] not in sources:
            faults.append(f"{where}: its id is another's, or its source unknown")
        seen.add(panel["id"])
        letters = [target["refId"] for target in panel["targets"]]
        if len(letters) != len(set(letters)):
            faults.append(f"{where}: {letters}")
        for target in panel["targets"]:
            asked += 1
            Query(where, target["expr"], jobs).can_tell(target["legendFormat"], r"{{(\w+)}}")
    return asked


def main(alerts, configuration, *dashboards):
    with open(configuration, encoding="utf-8") as file:
        jobs = {one["job_name"] for one in yaml.load(file, Strictly)["scrape_configs"]}
    asked = rules(alerts, jobs) + sum(dashboard(path, jobs) for path in dashboards)
    if asked < 10:
        faults.append(f"only {asked} queries were found")
    print("\n".join(faults))
    sys.exit(bool(faults))


main(*sys.argv[1:])
