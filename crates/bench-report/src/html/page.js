"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const one = (selector) => document.querySelector(selector);

// The controls need this script, so they are hidden until it runs.
all("#controls, #theme, #run").forEach((element) => (element.hidden = false));

// Selects one statistic for all charts and tables.
function choose(statistic) {
  const key = statistic.replace(".", "_");
  all("[data-choose]").forEach((b) => b.setAttribute("aria-pressed", b.dataset.choose === statistic));
  all("[data-statistic]").forEach((chart) => (chart.hidden = chart.dataset.statistic !== statistic));
  all("[data-statistic-name]").forEach((text) => (text.textContent = statistic));
  all(`td[data-${key}]`).forEach((cell) => {
    cell.textContent = cell.getAttribute(`data-${key}`);
    cell.dataset.sort = cell.getAttribute(`data-sort-${key}`);
  });
}
all("[data-choose]").forEach((b) => b.addEventListener("click", () => choose(b.dataset.choose)));

// A legend toggles its series.
all("[data-toggle]").forEach((button) =>
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    const figure = button.closest("figure");
    all("[data-series]", figure).forEach((series) => {
      if (series.dataset.series === button.dataset.toggle) series.classList.toggle("off", !on);
    });
  }),
);

// Shows one run at a time.
function show(run) {
  all("[data-run]").forEach((part) => (part.hidden = part.dataset.run !== run));
}
const runs = one("#run");
if (runs) {
  runs.addEventListener("change", () => show(runs.value));
  show(runs.value);
}

// Shows the tooltip of the element at the pointer.
const tip = one("#tip");
all("svg title").forEach((title) => title.remove());
document.addEventListener("pointermove", (event) => {
  const target = event.target.closest("[data-tip]");
  tip.hidden = !target;
  if (!target) return;
  tip.textContent = target.dataset.tip;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, innerWidth - width - 8);
  const above = event.clientY - height - 12;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above < 8 ? event.clientY + 18 : above}px`;
});

// A click on a column head, or Enter or Space, sorts the table.
all(".sortable thead th").forEach((head, column) => {
  head.tabIndex = 0;
  head.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    head.click();
  });
  head.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    all("th[aria-sort]", head.parentElement).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = head.closest("table").tBodies[0];
    const value = (row) => row.cells[column].dataset.sort;
    const order = (a, b) =>
      value(a) === undefined
        ? a.cells[column].textContent.localeCompare(b.cells[column].textContent, "en", { numeric: true })
        : value(a) - value(b);
    body.append(...[...body.rows].sort((a, b) => (down ? order(b, a) : order(a, b))));
  });
});

// A chart that is wider than its frame can be scrolled by keyboard.
const frames = new ResizeObserver((changes) => {
  for (const { target } of changes) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
all("figure").forEach((figure) => frames.observe(figure));

// The theme follows the system until the reader chooses one.
const theme = one("#theme");
const dark = () => {
  const chosen = document.documentElement.style.colorScheme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const label = () => (theme.textContent = dark() ? "Light" : "Dark");
theme.addEventListener("click", () => {
  document.documentElement.style.colorScheme = dark() ? "light" : "dark";
  label();
});
label();
