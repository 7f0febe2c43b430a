// Tests that every text of the pages is in every language.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const web = fileURLToPath(new URL("..", import.meta.url));
const languages = readdirSync(join(web, "messages"))
  .filter((name) => name.endsWith(".js"))
  .map((name) => name.replace(/\.js$/, ""));
/** Reads a language: the words of all pages, and those that only the pages for staff and the board load. */
async function textsOf(code) {
  const [all, staff, board, demo] = await Promise.all(["", "staff/", "board/", "demo/"].map((folder) => import(`../messages/${folder}${code}.js`)));
  // Staff have words of their own for a status: the guest's "sent" is "new" to them.
  const twice = Object.keys(staff.default).filter((key) => key in all.default && !key.startsWith("shared.status."));
  twice.push(...[board, demo].flatMap((more) => Object.keys(more.default)).filter((key) => key in all.default || key in staff.default));
  assert.deepEqual(twice, [], `${code} has these twice`);
  return { ...all.default, ...staff.default, ...board.default, ...demo.default };
}
const texts = Object.fromEntries(await Promise.all(languages.map(async (code) => [code, await textsOf(code)])));
const PAGES = ["board", "demo", "guest", "missing", "order", "panel", "shared", "start"];
const scripts = PAGES.flatMap((folder) =>
  readdirSync(join(web, folder), { recursive: true })
    .filter((name) => name.endsWith(".js"))
    .map((name) => ({ path: `${folder}/${name}`, text: readFileSync(join(web, folder, name), "utf8") })),
);

const forms = (text) => (typeof text === "string" ? [text] : Object.values(text));
const holes = (text) => [...new Set(forms(text).flatMap((form) => [...form.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)))].sort();

test("every language has the same texts with the same holes", () => {
  const [first, ...others] = languages;
  for (const code of others) {
    assert.deepEqual(Object.keys(texts[code]).sort(), Object.keys(texts[first]).sort(), `${code} and ${first}`);
    for (const [key, text] of Object.entries(texts[code])) {
      assert.deepEqual(holes(text), holes(texts[first][key]), `${key} in ${code} and ${first}`);
      assert.ok(forms(text).every((form) => form.trim() !== ""), `${key} in ${code} is empty`);
    }
  }
});

test("a plural has all the forms that its language needs", () => {
  for (const code of languages) {
    const needed = new Intl.PluralRules(code).resolvedOptions().pluralCategories;
    for (const [key, text] of Object.entries(texts[code])) {
      if (typeof text === "string") continue;
      for (const category of needed) assert.ok(category in text, `${key} in ${code} has no form "${category}"`);
    }
  }
});

test("no text was left in another language", () => {
  // Words that are the same in both, and texts that are only names and numbers.
  const same = (text) => forms(text).every((form) => !/\p{L}{3,}\s+\p{L}{3,}/u.test(form.replace(/\{\w+\}/g, "")));
  for (const [key, text] of Object.entries(texts.de)) {
    if (same(text)) continue;
    assert.notDeepEqual(text, texts.en[key], `${key} is not translated`);
  }
});

test("every text that a page asks for is there, and each text is asked for", () => {
  const used = new Set();
  const prefixes = new Set();
  for (const { path, text } of scripts) {
    for (const [, key] of text.matchAll(/\b(?:t|has)\(\s*"([^"]+)"/g)) {
      assert.ok(key in texts.en, `${path} asks for ${key}`);
      used.add(key);
    }
    for (const [, prefix] of text.matchAll(/\b(?:t|has)\(\s*`([\w.]+)\$\{/g)) {
      assert.ok(Object.keys(texts.en).some((key) => key.startsWith(prefix)), `${path} asks for ${prefix}…`);
      prefixes.add(prefix);
    }
    // A key that is handed on: "panel.x.y" as a plain text.
    for (const [, key] of text.matchAll(/"((?:shared|start|guest|order|panel|board|demo)\.[\w.]+)"/g)) {
      if (key.startsWith("order.") && !(key in texts.en)) continue; // the type of an event
      assert.ok(key in texts.en, `${path} names ${key}`);
      used.add(key);
    }
  }
  for (const [, key] of readFileSync(join(web, "demo", "index.html"), "utf8").matchAll(/data-t="([^"]+)"/g)) {
    assert.ok(key in texts.en, `the demonstration names ${key}`);
    used.add(key);
  }
  const unused = Object.keys(texts.en).filter((key) => !used.has(key) && ![...prefixes].some((prefix) => key.startsWith(prefix)));
  assert.deepEqual(unused, []);
});

/** Returns the words that stand between tags or in spoken attributes of the script's templates. */
function bareWords(script) {
  const found = [];
  const templates = script.matchAll(/html`((?:[^`\\]|\\.)*)`/gs);
  for (const [, template] of templates) {
    let text = template;
    for (let before = null; before !== text; ) {
      before = text;
      text = text.replace(/\$\{[^{}]*\}/g, "·");
    }
    if (text.includes("${")) continue; // nested templates are looked at by themselves
    for (const [, between] of text.matchAll(/>([^<>]+)</g)) if (/\p{L}{2,}/u.test(between)) found.push(between.trim());
    for (const [, said] of text.matchAll(/\b(?:aria-label|title|placeholder|alt)="([^"]*\p{L}{2,}[^"]*)"/gu)) found.push(said);
  }
  return found;
}

test("no template has words of its own", () => {
  const names = new Set(["Expediter"]);
  for (const { path, text } of scripts) assert.deepEqual(bareWords(text).filter((words) => !names.has(words)), [], path);
  assert.deepEqual(bareWords("html`<p>Hello</p>`"), ["Hello"]);
  assert.deepEqual(bareWords('html`<img alt="A dish" />`'), ["A dish"]);
  assert.deepEqual(bareWords("html`<p title=${x}>${t('a.b')} · 5</p>`"), []);
});

/** Returns the texts of a script without templates that have two words in a row: what people would read. */
function spokenTexts(script) {
  let code = script.replace(/\/\*.*?\*\//gs, "").replace(/^\s*\/\/.*$/gm, "").replace(/class: (["`]).*?\1/g, "");
  const texts = [];
  // From the inside out: texts in quotes, then what is filled into a template, then the template.
  for (let before = null; before !== code; ) {
    before = code;
    code = code.replace(/"([^"\n]*)"/g, (_, text) => (texts.push(text), "·"));
    code = code.replace(/(?<!\$)\{[^{}`\n]*\}/g, "·").replace(/\$\{[^{}`\n]*\}/g, "·");
    code = code.replace(/`([^`$\n]*)`/g, (_, text) => (texts.push(text), "·"));
  }
  return texts.filter((text) => /\p{L}{2,} \p{L}{2,}/u.test(text));
}

test("the demonstration, which has no templates, says nothing in words of its own", () => {
  // A line for the browser's console.
  const known = ["· returned status ·"];
  const demo = scripts.filter(({ path }) => path.startsWith("demo/"));
  assert.ok(demo.length > 5);
  for (const { path, text } of demo) assert.deepEqual(spokenTexts(text).filter((said) => !known.includes(said)), [], path);
  assert.deepEqual(spokenTexts('el("p", { class: "big red" }, `Order ${n} was placed`, "so it is")'), ["so it is", "Order · was placed"]);
});
