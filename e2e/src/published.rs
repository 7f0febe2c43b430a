//! The documents in `openapi/` that are kept by hand: their parts, and the values that must fit their schemas.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::PythonTools;

/// A document of `openapi/`.
#[derive(Clone, Debug)]
pub struct Published {
    name: &'static str,
    root: Value,
    /// The same, which keeps the order of its members.
    ordered: serde_yaml::Value,
}

impl Published {
    /// Reads a document, which may be JSON or YAML.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn read(name: &'static str) -> Self {
        let text = fs::read_to_string(Self::path(name)).expect("it is in the source tree");
        let parsed = serde_yaml::from_str(&text);
        let ordered: serde_yaml::Value = parsed.unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        let root = serde_yaml::from_str(&text).expect("it was parsed before");
        Self {
            name,
            root,
            ordered,
        }
    }

    #[must_use]
    pub fn path(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../openapi")
            .join(name)
    }

    /// Returns the part at a JSON pointer; follows the references on the way.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        let steps = pointer.split('/').skip(1);
        steps.fold(&self.root, |part, step| {
            let step = step.replace("~1", "/").replace("~0", "~");
            let found = match part.as_array().zip(step.parse().ok()) {
                Some((parts, index)) => parts.get::<usize>(index),
                None => part.get(step),
            };
            self.resolved(found.unwrap_or_else(|| panic!("{} has no {pointer}", self.name)))
        })
    }

    fn resolved<'a>(&'a self, part: &'a Value) -> &'a Value {
        match part["$ref"].as_str() {
            Some(reference) => self.at(reference.trim_start_matches('#')),
            None => part,
        }
    }

    /// Returns the names of an object's members.
    ///
    /// # Panics
    /// If it is no object.
    #[must_use]
    pub fn names(&self, pointer: &str) -> BTreeSet<String> {
        let members = self.at(pointer).as_object();
        let members = members.unwrap_or_else(|| panic!("{pointer} is no object"));
        members.keys().cloned().collect()
    }

    /// Returns the names of an object's members in the order in which they are written.
    ///
    /// # Panics
    /// If it is no object, or behind a reference.
    #[must_use]
    pub fn names_in_order(&self, pointer: &str) -> Vec<String> {
        let steps = pointer.split('/').skip(1);
        let found = steps.fold(&self.ordered, |part, step| {
            let step = step.replace("~1", "/").replace("~0", "~");
            part.get(step)
                .unwrap_or_else(|| panic!("{} has no {pointer}", self.name))
        });
        let members = found.as_mapping().expect("an object");
        let names = members.keys().map(|name| name.as_str().expect("a name"));
        names.map(str::to_owned).collect()
    }

    /// Returns the words of an `enum`.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn words(&self, pointer: &str) -> BTreeSet<String> {
        let words = self.at(pointer)["enum"].as_array();
        let words = words.unwrap_or_else(|| panic!("{pointer} has no enum"));
        words
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    /// Checks that each value fits the schema at its pointer. `draft`: the JSON Schema of the document, `7` or `2020-12`.
    ///
    /// # Panics
    /// With all that does not fit.
    pub fn assert_fits(&self, tools: &PythonTools, draft: &str, values: &[(String, Value)]) {
        let mut checker = tools
            .command("python3")
            .arg(PythonTools::file("fits.py"))
            .arg(Self::path(self.name))
            .arg(draft)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python-tools looked for it");
        let mut stdin = checker.stdin.take().expect("it is piped");
        for (pointer, value) in values {
            writeln!(stdin, "{}", json!([pointer, value])).expect("it reads all lines first");
        }
        drop(stdin);
        let output = checker.wait_with_output().expect("it was started");
        let said = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}:\n{said}{failed}", self.name);
    }

    /// Checks that the objects of a schema have no members but those listed, and have all of them but for `optional`
    /// (`Order/mine`). Then a value that fits has the very fields of the document. References are not followed.
    ///
    /// # Panics
    /// With the first object that is not so.
    pub fn assert_exact(&self, name: &str, optional: &[&str]) {
        exact(
            self.at(&format!("/components/schemas/{name}")),
            name,
            optional,
        );
    }
}

fn exact(schema: &Value, path: &str, optional: &[&str]) {
    if let Some(properties) = schema["properties"].as_object() {
        assert!(schema["additionalProperties"] == false, "{path} is open");
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in properties {
            let field = format!("{path}/{name}");
            let is_required = required.iter().any(|one| one == name);
            let may_miss = optional.contains(&field.as_str());
            assert!(
                is_required != may_miss,
                "{field} is required: {is_required}"
            );
            exact(property, &field, optional);
        }
    } else if schema["type"] == "object" {
        assert!(schema["additionalProperties"].is_object(), "{path} is open");
    }
    exact_parts(schema, path, optional);
}

fn exact_parts(schema: &Value, path: &str, optional: &[&str]) {
    if let Some(items) = schema.get("items") {
        exact(items, path, optional);
    }
    for part in schema["anyOf"].as_array().into_iter().flatten() {
        exact(part, path, optional);
    }
}
