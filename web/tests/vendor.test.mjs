// Tests that the libraries in web/vendor are those that its list names.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const folder = new URL("../vendor/", import.meta.url);
const { packages } = JSON.parse(readFileSync(new URL("vendor.json", folder), "utf8"));

test("each library is as its checksum says", () => {
  for (const { name, files } of packages) {
    for (const { to, sha256 } of files) {
      const sum = createHash("sha256").update(readFileSync(new URL(to, folder))).digest("hex");
      assert.equal(sum, sha256, `${to} of ${name} was changed: run scripts/vendor`);
    }
  }
});

test("there is no library beside the list, and each has its licence and one exact version", () => {
  const listed = packages.flatMap(({ licence_file, files }) => [licence_file, ...files.map(({ to }) => to)]);
  assert.deepEqual(readdirSync(folder).sort(), [...listed, "vendor.json"].sort());
  for (const { name, version } of packages) assert.match(version, /^\d+\.\d+\.\d+$/, name);
});

test("no library asks another address for anything", () => {
  for (const { files } of packages) {
    // A script that is no module imports nothing; the page's security policy lets it ask this server only.
    for (const { to } of files.filter(({ script }) => !script)) {
      const text = readFileSync(new URL(to, folder), "utf8");
      for (const [, from] of text.matchAll(/(?:from|import)\s*"([^"]+)"/g)) assert.match(from, /^\.\//, to);
    }
  }
});
