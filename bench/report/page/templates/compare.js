(() => {
"use strict";

const { byId, data, make, heads, names, rows } = window.benchPage;
const pairs = data("pairs");
const a = byId("side-a");
const b = byId("side-b");
window.benchPage.pick = (id) => {
  if (a.value === id) a.value = "";
  else if (b.value === id) b.value = "";
  else if (!a.value) a.value = id;
  else b.value = id;
  compare();
};
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
