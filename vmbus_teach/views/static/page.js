
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
dark.addEventListener("change", theme);
theme();

for (const el of document.querySelectorAll("[data-stepper]")) {
  render({ model: new Page(JSON.parse(el.querySelector("script").textContent)), el });
}

/** What is wider than its column can be scrolled, by keys, too. */
const wide = () => {
  for (const el of document.querySelectorAll(".jp-OutputArea-output, .jp-RenderedMarkdown > table")) {
    if (el.scrollWidth > el.clientWidth) el.tabIndex = 0;
    else el.removeAttribute("tabindex");
  }
};
addEventListener("resize", wide);
wide();
