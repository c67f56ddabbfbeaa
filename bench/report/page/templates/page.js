(() => {
"use strict";

const DataTable = window.DataTable;
const shared = (window.benchPage = {}); // what compare.js uses, and gives back: pick
const byId = (id) => document.getElementById(id);
const data = (id) => JSON.parse(byId(id).textContent);

/** An element with text, never with HTML: names and reasons come from plugins. */
function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Colours: as the system has them until one is chosen.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const theme = byId("theme");
function paint() {
  const chosen = theme.value || (dark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = chosen;
  document.documentElement.classList.toggle("dark", chosen === "dark");
}
try {
  theme.value = localStorage.getItem("bench-theme") || "";
} catch { /* storage may be denied to files */ }
theme.addEventListener("change", () => {
  paint();
  try {
    localStorage.setItem("bench-theme", theme.value);
  } catch { /* as above */ }
});
dark.addEventListener("change", paint);
paint();

// Tables. A blank does not apply: it comes last, whichever way one sorts.
const sides = (a, b, sign) => (a === "" ? (b === "" ? 0 : 1) : b === "" ? -1 : sign * (a - b));
DataTable.type("measured", {
  order: { asc: (a, b) => sides(a, b, 1), desc: (a, b) => sides(a, b, -1) },
});
function prepare(table) {
  const heads = [...table.tHead.rows[0].cells];
  for (const row of table.tBodies[0].rows) {
    heads.forEach((head, column) => {
      const cell = row.cells[column];
      if (!head.classList.contains("number")) return;
      const number = cell.dataset.order ?? cell.textContent.trim();
      cell.dataset.order = number;
      cell.dataset.filter = number;
    });
  }
  return heads;
}
const measured = (heads) => heads.flatMap((head, i) => (head.classList.contains("number") ? [i] : []));

for (const table of document.querySelectorAll("table.plain:not(.labels)")) {
  new DataTable(table, {
    paging: false, searching: false, info: false, order: [], autoWidth: false,
    columnDefs: [{ targets: measured(prepare(table)), type: "measured" }],
  });
}

const source = byId("cell-table");
const heads = prepare(source);
const names = new Map();
for (const row of source.tBodies[0].rows) {
  const id = row.dataset.cell;
  const option = document.querySelector(`#side-a option[value="${CSS.escape(id)}"]`);
  if (!option) continue; // a cell that failed has nothing to compare
  names.set(id, option.textContent);
  const button = make("button", "Compare", { type: "button", class: "pick", "aria-pressed": "false" });
  button.setAttribute("aria-label", `Compare ${option.textContent}`);
  button.addEventListener("click", () => shared.pick(id));
  row.cells[1].append(button);
}
const groups = data("groups");
const named = heads.flatMap((head, i) => (head.dataset.group ? [] : [i]));
const first = named.filter((i) => !("hidden" in heads[i].dataset));
const present = [...new Set(heads.map((head) => head.dataset.group).filter(Boolean))];
const all = heads.map((_, i) => i);
const only = (text, shown) => ({
  extend: "colvisGroup", text, show: shown, hide: all.filter((i) => !shown.includes(i)),
});
const rows = new DataTable(source, {
  order: [], autoWidth: false, pageLength: 100, paging: source.tBodies[0].rows.length > 100,
  keys: { keys: [33, 34, 35, 36, 37, 38, 39, 40], clipboard: false }, // Tab goes on, out of the table
  columnDefs: [
    { targets: all.filter((i) => "hidden" in heads[i].dataset), visible: false },
    { targets: measured(heads), type: "measured", columnControl: [{ target: 1, content: ["searchNumber"] }] },
    { targets: all.filter((i) => !measured(heads).includes(i)), columnControl: [{ target: 1, content: ["searchText"] }] },
  ],
  layout: {
    topStart: {
      buttons: [
        {
          extend: "colvis", text: "Choose columns", collectionLayout: "three-column", background: false, fade: 0,
          columnText: (_, i, title) => (heads[i].dataset.group ? `${heads[i].dataset.group}: ${title}` : title),
        },
        {
          extend: "collection", text: "Columns of a section", background: false, fade: 0,
          buttons: [
            only("first choice", all.filter((i) => !("hidden" in heads[i].dataset))),
            ...present.map((key) => only(
              `${key}: ${groups[key]}`,
              [...first, ...all.filter((i) => heads[i].dataset.group === key)],
            )),
            only("all", all),
          ],
        },
      ],
    },
    topEnd: "search",
  },
  language: { search: "Search all columns" },
});

// What the library's filters and menus lack: names, and which columns are shown, for screen readers.
heads.forEach((_, i) => {
  const heading = rows.column(i).title();
  rows.column(i).header(1)?.querySelectorAll("input").forEach((input) => {
    input.setAttribute("aria-label", `Filter ${heading}`);
  });
  rows.column(i).header(1)?.querySelectorAll("select").forEach((select) => {
    select.setAttribute("aria-label", `How to filter ${heading}`);
  });
});
document.addEventListener("keydown", (event) => {
  if (event.key === " " && event.target.matches?.("thead [role=button]")) {
    event.preventDefault(); // a button by its role answers to the space bar, too
    event.target.click();
  }
});
function describe() {
  for (const menu of document.querySelectorAll(".dt-button-collection")) {
    menu.setAttribute("aria-label", "Columns");
    menu.querySelector("[role=menu]")?.setAttribute("role", "group");
    for (const button of menu.querySelectorAll(".buttons-columnVisibility")) {
      button.setAttribute("aria-pressed", String(button.classList.contains("dt-button-active")));
    }
  }
}
rows.on("column-visibility", () => setTimeout(describe));
new MutationObserver(describe).observe(document.body, { childList: true, subtree: true });

// A number's definition and errors, under the pointer and under the keyboard.
const tip = byId("tip");
const toldBy = (target) =>
  target?.closest?.("[title], [data-tip], td.number, svg [aria-label]") ?? null;
let shown = null; // what was explained last
function explain(target) {
  const told = toldBy(target);
  if (!told || told.closest("select, iframe")) return false;
  if (told.title) {
    told.dataset.tip = told.title; // else the browser would show its own as well
    told.removeAttribute("title");
  }
  if (told.ownerSVGElement) told.querySelector("title")?.remove(); // as above
  const parts = [];
  if (told.tagName === "TD") {
    if (!told.textContent.trim()) return false;
    const head = told.closest("table").tHead?.rows[0].cells[told.cellIndex];
    if (head?.title) {
      head.dataset.tip = head.title;
      head.removeAttribute("title");
    }
    if (head?.dataset.tip) parts.push(`${head.textContent.trim()}: ${head.dataset.tip}`);
  }
  if (told.dataset.tip) parts.push(told.dataset.tip);
  if (told.ownerSVGElement) parts.push(told.getAttribute("aria-label"));
  if (!parts.length) return false;
  tip.textContent = parts.join("\n");
  tip.hidden = false;
  shown = told;
  const box = told.getBoundingClientRect();
  const own = tip.getBoundingClientRect();
  const above = box.top - own.height - 6;
  tip.style.top = `${above > 0 ? above : box.bottom + 6}px`;
  tip.style.left = `${Math.max(4, Math.min(box.left, window.innerWidth - own.width - 8))}px`;
  return true;
}
let held = null; // what the keyboard is on: the page may scroll to it after it got the focus
const hide = () => { tip.hidden = true; held = null; };
const hold = (target) => { hide(); if (explain(target)) held = target; };
const again = () => { if (!held || !explain(held)) hide(); };
let place = ""; // of the pointer: where the page scrolls under it, it is over something else
document.addEventListener("mouseover", (event) => {
  if (held && place === `${event.screenX} ${event.screenY}`) return;
  if (!explain(event.target)) again();
});
document.addEventListener("mousemove", (event) => {
  const before = place;
  place = `${event.screenX} ${event.screenY}`;
  // A page that scrolled has gone back to what the keyboard is on; the pointer is where it was.
  if (place !== before && held && toldBy(event.target) !== shown) explain(event.target);
});
document.addEventListener("focusin", (event) => {
  // Arrow keys are the table's while the focus is in it, and no longer.
  if (!event.target.closest("#cell-table tbody, [id^=keytable-focus-capture]")) rows.cell.blur();
  hold(event.target);
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
document.addEventListener("scroll", again, true);
rows.on("key-focus", (_event, _table, cell) => hold(cell.node()));
rows.on("key-blur", hide);

// A link to a cell opens its card.
function open() {
  const card = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (card && card.tagName === "DETAILS") {
    card.open = true;
    card.scrollIntoView();
  }
}
window.addEventListener("hashchange", open);
open();

Object.assign(shared, { byId, data, make, heads, names, rows });
})();
