"""Validates the examples of request and response bodies against their schemas. Argument: the OpenAPI document."""

import json
import sys

import jsonschema_rs

with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)

checked = 0
for path, methods in document["paths"].items():
    for method, operation in methods.items():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        contents = [content for body in bodies for content in body.get("content", {}).values()]
        for content in contents:
            if "$ref" not in content["schema"] and "example" not in content:
                continue  # a picture, a table
            schema = {**content["schema"], "components": document["components"]}
            validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
            errors = list(validator.iter_errors(content["example"]))
            assert not errors, (method, path, [error.message for error in errors])
            checked += 1
assert checked > 70, checked
