// Lists that do not jump away under a finger.

import { useEffect, useRef, useState } from "../shared/ui.js";
import { settled } from "./model.js";

/** A list stays in its order so long after a pointer or the focus has left it. */
const REST_MS = 1500;

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
  const keep = () => (clearTimeout(timer.current), hold(true));
  const leave = (event) => {
    if (event.currentTarget.contains(event.relatedTarget)) return;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => hold(false), REST_MS);
  };
  return {
    items: order.current.map((id) => byId.get(id)),
    watch: { onPointerEnter: keep, onPointerDown: keep, onPointerLeave: leave, onFocusIn: keep, onFocusOut: leave },
  };
}
