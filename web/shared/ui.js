// Preact with htm, and small observable values: all that pages need for rendering.

import { h, render, Fragment } from "../vendor/preact.js";
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "../vendor/hooks.js";
import htm from "../vendor/htm.js";

export { Fragment, render, useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState };
export const html = htm.bind(h);

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
  const [, again] = useReducer((count) => count + 1, 0);
  useLayoutEffect(() => {
    again(); // it may have changed between the rendering and this moment
    return state.subscribe(again);
  }, [state]);
  return state.value;
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
