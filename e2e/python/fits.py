"""Checks values against the schemas of a document.

Arguments: the document (JSON or YAML), and its draft of JSON Schema (`7` or `2020-12`). Reads lines of JSON,
`[pointer of the schema, value]`, from standard input. Prints one line per fault, and fails if there is any.
"""

import json
import sys
from urllib.parse import quote

import jsonschema_rs
import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    document = yaml.safe_load(file)
draft = {
    "7": jsonschema_rs.Draft7Validator,
    "2020-12": jsonschema_rs.Draft202012Validator,
}[sys.argv[2]]
lines = [json.loads(line) for line in sys.stdin]
validators = {}
faults = []
for pointer, value in lines:
    if pointer not in validators:
        schema = {**document, "allOf": [{"$ref": "#" + quote(pointer)}]}
        validators[pointer] = draft(schema, validate_formats=True)
    for error in validators[pointer].iter_errors(value):
        place = "/".join(str(step) for step in error.instance_path)
        faults.append(f"{pointer}: at /{place}: {error.message}: {json.dumps(value)[:2000]}")
print("\n".join(faults))
sys.exit(bool(faults) or not lines)
