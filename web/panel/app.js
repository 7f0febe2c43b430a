// The order panel.

import { html, render } from "../shared/ui.js";

render(html`<main></main>`, document.getElementById("page"));
