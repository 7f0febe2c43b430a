// Lists that do not jump away under a finger.

import { useEffect, useRef, useState } from "../shared/ui.js";
import { settled } from "./model.js";

/** A list stays in its order so long after a pointer or the focus has left it. */
const REST_MS = 1500;
/** A focus that does not move counts so long: it stays in a list after a dialog has given it back. */
const FOCUS_MS = 5000;

/**
 * Keeps a list in its order while somebody points at it or its focus is in it, so that nothing jumps away under a finger.
 * Returns the items, and the listeners for the list's element.
 */
export function useSettled(items, idOf) {
  const [held, hold] = useState(false);
  const order = useRef([]);
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  const now = items.map(idOf);
  order.current = held ? settled(order.current, now) : now;
  const byId = new Map(items.map((item) => [idOf(item), item]));
  const pointed = useRef(false);
  const release = (ms) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => hold(false), ms);
  };
  const point = () => {
    pointed.current = true;
    clearTimeout(timer.current);
    hold(true);
  };
  const focus = () => {
    hold(true);
    if (!pointed.current) release(FOCUS_MS);
  };
  const leave = () => {
    pointed.current = false;
    release(REST_MS);
  };
  return {
    items: order.current.map((id) => byId.get(id)),
    watch: { onPointerEnter: point, onPointerDown: point, onPointerLeave: leave, onFocusIn: focus },
  };
}
