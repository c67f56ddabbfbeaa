(() => {
"use strict";

const DataTable = window.DataTable;
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
  button.addEventListener("click", () => pick(id));
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
function explain(target) {
  const told = target?.closest?.("[title], [data-tip], td.number");
  if (!told || told.closest("select, iframe")) return false;
  if (told.title) {
    told.dataset.tip = told.title; // else the browser would show its own as well
    told.removeAttribute("title");
  }
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
  if (!parts.length) return false;
  tip.textContent = parts.join("\n");
  tip.hidden = false;
  const box = told.getBoundingClientRect();
  const own = tip.getBoundingClientRect();
  const above = box.top - own.height - 6;
  tip.style.top = `${above > 0 ? above : box.bottom + 6}px`;
  tip.style.left = `${Math.max(4, Math.min(box.left, window.innerWidth - own.width - 8))}px`;
  return true;
}
const hide = () => { tip.hidden = true; };
document.addEventListener("mouseover", (event) => { if (!explain(event.target)) hide(); });
document.addEventListener("focusin", (event) => {
  // Arrow keys are the table's while the focus is in it, and no longer.
  if (!event.target.closest("#cell-table tbody, [id^=keytable-focus-capture]")) rows.cell.blur();
  if (!explain(event.target)) hide();
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
document.addEventListener("scroll", hide, true);
rows.on("key-focus", (_event, _table, cell) => explain(cell.node()));
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

const pairs = data("pairs");
const a = byId("side-a");
const b = byId("side-b");
function pick(id) {
  if (a.value === id) a.value = "";
  else if (b.value === id) b.value = "";
  else if (!a.value) a.value = id;
  else b.value = id;
  compare();
}
for (const side of [a, b]) side.addEventListener("change", compare);
byId("swap").addEventListener("click", () => {
  [a.value, b.value] = [b.value, a.value];
  compare();
});

const signed = (x) => (x > 0 ? "+" : "") + x.toFixed(4);
const chance = (p) => (p < 1e-4 ? "<.0001" : p.toFixed(4).replace(/^0/, ""));
const share = (x) => `${Math.round(100 * x)}%`;

/** The difference A - B of two cells in one metric, or undefined. */
function difference(metric) {
  const group = pairs.groups.find(({ cells }) => cells.includes(a.value) && cells.includes(b.value));
  const values = group?.values[metric];
  if (!values) return undefined;
  const [i, j] = [group.cells.indexOf(a.value), group.cells.indexOf(b.value)];
  const [low, high] = [Math.min(i, j), Math.max(i, j)];
  const found = values[low * group.cells.length - (low * (low + 1)) / 2 + high - low - 1];
  if (!found) return undefined;
  const [d, se, p, lower, higher] = found;
  const mean = (k) => group.means[metric][k];
  return {
    sides: [mean(i), mean(j)], d: i < j ? d : -d, half: group.quantile * se, se, p,
    lower: i < j ? lower : higher, examples: group.examples,
  };
}

function notes(metric) {
  const samples = [a, b].map((side) => pairs.cells[side.value].samples[metric]);
  const trusted = [a, b].map((side) => pairs.cells[side.value].trusted[metric]);
  const found = [];
  if (samples[0] !== samples[1]) found.push(`not equally tight: ${samples[0]} and ${samples[1]} samples`);
  if (trusted.includes(false)) found.push("its bias may decide: the weights of a side cannot be trusted");
  return found.join("; ");
}

function table(caption, headings, body) {
  const region = make("div", undefined, { class: "scroll", role: "region", tabindex: "0", "aria-label": caption });
  const made = make("table");
  made.append(make("caption", caption));
  const line = made.createTHead().insertRow();
  headings.forEach(([text, meaning], i) => {
    line.append(make("th", text, {
      scope: "col", ...(meaning ? { title: meaning } : {}), ...(i && text !== "note" ? { class: "number" } : {}),
    }));
  });
  const rowsOf = made.createTBody();
  for (const entries of body) {
    const row = rowsOf.insertRow();
    entries.forEach((entry, i) => {
      row.append(entry instanceof Node ? entry : make("td", entry, i ? { class: "number" } : {}));
    });
  }
  region.append(made);
  return region;
}

function costs() {
  const body = [];
  for (const [metric, meaning] of Object.entries(pairs.metrics)) {
    const found = difference(metric);
    if (!found) continue;
    const { sides: means, d, half, se, p, lower } = found;
    const shown = means.map(([mean, error]) => `${mean.toFixed(4)} ± ${error.toFixed(4)}`);
    body.push([
      make("td", metric, { title: `${meaning}, nats per test example` }), ...shown, signed(d), se.toFixed(4),
      `${signed(d - half)} to ${signed(d + half)}`, chance(p), share(lower), make("td", notes(metric), { class: "wrap" }),
    ]);
  }
  return table("Paired difference of these two trained models, A − B, nats per test example", [
    ["cost"], ["A", "mean and standard error over test examples"],
    ["B", "mean and standard error over test examples"], ["A − B", "negative where A is lower"],
    ["SE", "standard error of the paired difference"],
    ["95% interval", "t interval over test examples"], ["p", "paired t test, not adjusted"],
    ["A lower on", "share of the test examples"], ["note"],
  ], body);
}

function procedures() {
  const pair = pairs.models.find(({ a: one, b: two }) => (
    (one.includes(a.value) && two.includes(b.value)) || (one.includes(b.value) && two.includes(a.value))));
  if (!pair) return undefined;
  const sign = pair.a.includes(a.value) ? 1 : -1;
  const body = Object.entries(pair.values).map(([metric, [d, low, high, p]]) => [
    make("td", metric, { title: `${pairs.metrics[metric]}, nats per test example` }), signed(sign * d),
    sign > 0 ? `${signed(low)} to ${signed(high)}` : `${signed(-high)} to ${signed(-low)}`, chance(p),
  ]);
  const seeds = sign > 0 ? [pair.a.length, pair.b.length] : [pair.b.length, pair.a.length];
  return table(`Their training procedures, over ${seeds[0]} and ${seeds[1]} seeds, A − B`, [
    ["cost"], ["A − B", "negative where A is lower"],
    ["95% interval", "t interval over seeds and test examples"], ["p", "t test, not adjusted"],
  ], body);
}

function numbers() {
  const index = (side) => rows.row((_i, _d, node) => node.dataset.cell === side.value).index();
  const nodes = [a, b].map((side) => heads.map((_, column) => rows.cell(index(side), column).node()));
  const body = heads.flatMap((head, i) => {
    const entries = nodes.map((side) => side[i].cloneNode(true));
    if (!entries.some((entry) => entry.textContent.trim())) return [];
    entries.forEach((entry) => entry.querySelectorAll("button").forEach((button) => button.remove()));
    for (const entry of entries) {
      entry.className = "number";
      entry.removeAttribute("tabindex");
    }
    const title = head.dataset.tip || head.title;
    const heading = rows.column(i).title();
    return [[make("td", head.dataset.group ? `${head.dataset.group}: ${heading}` : heading, title ? { title } : {}), ...entries]];
  });
  return table("All numbers of the two", [["number"], ["A"], ["B"]], body);
}

function card(side, letter) {
  const box = make("div");
  const source = byId(`cell-${side.value}`);
  box.append(make("h3", `${letter}: ${names.get(side.value)}`));
  for (const part of source.children) {
    if (part.tagName !== "SUMMARY") box.append(part.cloneNode(true));
  }
  for (const region of box.querySelectorAll("[role=region]")) {
    region.setAttribute("aria-label", `${region.getAttribute("aria-label")}, as ${letter}`);
  }
  return box;
}

function compare() {
  const place = byId("comparison");
  place.replaceChildren();
  for (const button of document.querySelectorAll("button.pick")) {
    const id = button.closest("tr").dataset.cell;
    button.setAttribute("aria-pressed", String(id === a.value || id === b.value));
  }
  const status = byId("compare-status");
  if (!a.value || !b.value) {
    status.textContent = a.value || b.value ? `${names.get(a.value || b.value)} is chosen; choose another.` : "";
    return;
  }
  if (a.value === b.value) {
    status.textContent = "A and B are one cell: choose another for one of them.";
    return;
  }
  const found = difference("nelbo");
  const left = pairs.left_out.length ? ` There was no room for ${pairs.left_out.join(", ")}: see bench compare.` : "";
  status.textContent = found
    ? `NELBO of A − B: ${signed(found.d)}, 95% interval ${signed(found.d - found.half)} to ${signed(found.d + found.half)}, on ${found.examples} test examples.${left}`
    : `No paired difference: the two were not measured on the same test examples, or their per-example values are not in the page.${left}`;
  if (found) place.append(costs());
  const over = procedures();
  if (over) place.append(over);
  const two = make("div", undefined, { class: "sides" });
  two.append(card(a, "A"), card(b, "B"));
  place.append(two, numbers());
}
})();
