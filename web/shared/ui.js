// Preact with htm, and small observable values: all that pages need for rendering.

import { h, render, Fragment } from "../vendor/preact.js";
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "../vendor/hooks.js";
import htm from "../vendor/htm.js";
import "./taps.js";

export { Fragment, render, useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState };
export const html = htm.bind(h);

/** Time between two parts of a long list, in which a tap is answered. */
const GROW_EVERY_MS = 20;

/** A value that others watch: `new State(0)`, `.value`, `.set(1)`, `.set((old) => old + 1)`. */
export class State {
  #watchers = new Set();

  constructor(value) {
    this.value = value;
  }

  set(next) {
    const value = typeof next === "function" ? next(this.value) : next;
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const watcher of [...this.#watchers]) watcher(value);
  }

  /** Calls the watcher after each change; returns a function that ends it. */
  subscribe(watcher) {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }
}

/** Returns the value, and renders the component again when it changes. */
export function useValue(state) {
  const again = useAgain();
  const shown = state.value;
  useLayoutEffect(() => {
    if (!Object.is(state.value, shown)) again(); // it has changed between the rendering and this moment
    return state.subscribe(again);
  }, [state]);
  return shown;
}

/** Returns a function that renders the component again. */
export function useAgain() {
  return useReducer((count) => count + 1, 0)[1];
}

/**
 * Returns `keep(key, facts, make)` for the rows of a long list: what `make` made is used again while the facts are the same,
 * and Preact leaves such a row alone. One event then renders one row.
 */
export function useKept() {
  const before = useRef(new Map()).current;
  const now = new Map();
  useLayoutEffect(() => {
    before.clear();
    for (const [key, row] of now) before.set(key, row);
  });
  return (key, facts, make) => {
    const known = before.get(key);
    const row = known && known.facts.every((fact, at) => Object.is(fact, facts[at])) ? known : { facts, made: make() };
    now.set(key, row);
    return row.made;
  };
}

/** Returns how many of a long list's rows are rendered: a few at once, the rest little by little, so that no tap waits. */
export function useGrowing(total, { first, step = first }) {
  const [shown, show] = useState(first);
  useEffect(() => {
    if (shown >= total) return undefined;
    const timer = setTimeout(() => show(shown + step), GROW_EVERY_MS);
    return () => clearTimeout(timer);
  }, [shown, total]);
  return Math.min(shown, total);
}

/** Returns the time in milliseconds, and renders the component again so often. */
export function useNow(everyMs = 1000) {
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => tick(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
