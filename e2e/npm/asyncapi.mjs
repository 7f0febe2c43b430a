// Parses an AsyncAPI document and prints what is wrong with it. Argument: the document.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NPM_TOOLS}/`);
const { Parser } = require("@asyncapi/parser");

const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
// It only says that there is a newer version of the specification than 3.0.
const found = diagnostics.filter(({ code }) => code !== "asyncapi-latest-version");
for (const { severity, code, path, message } of found) {
  console.log(`${["error", "warning", "info", "hint"][severity]} ${code} at ${path.join("/")}: ${message}`);
}
process.exit(document && found.length === 0 ? 0 : 1);
