"""Checks the examples of the document's request bodies against their schemas. Takes the document."""

import json
import sys

import jsonschema_rs

with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)

checked = 0
for path, methods in document["paths"].items():
    for method, operation in methods.items():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = {**content["schema"], "components": document["components"]}
            errors = list(jsonschema_rs.Draft202012Validator(schema).iter_errors(content["example"]))
            assert not errors, (method, path, [error.message for error in errors])
            checked += 1
assert checked > 20, checked
