
// --- a page without a kernel: stands after stepper.js in the same script ---------------------------------

/** As much of anywidget's model as the stepper uses. */
class Page {
  constructor(state) { this.state = state; }
  get(name) { return this.state[name]; }
  set(name, value) { this.state[name] = value; }
  on() {}
  off() {}
  send() {}
  save_changes() {}
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => { document.documentElement.dataset.jpThemeLight = String(!dark.matches); };
if (document.documentElement.classList.contains("vt-page")) { dark.addEventListener("change", theme); theme(); }
for (const el of document.querySelectorAll("[data-stepper]")) {
  render({ model: new Page(JSON.parse(el.querySelector("script").textContent)), el });
}
