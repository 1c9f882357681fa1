"use strict";
// Tables of the class `sortable`: sorted by a click on a head, filtered by what is typed, columns hidden and shown.
const FEW = 3; // rows that need no filter
const made = (name, attributes, ...children) => {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
};

// Sorts the rows by a column; what has no value stays last, equal ones stay in their order.
const sorter = (table, heads) => at => {
  const down = heads[at].getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
  const value = row => row.cells[at].dataset.value ?? row.cells[at].textContent;
  const pinned = row => Number(row.dataset.pinned ?? 0); // those stay on top
  const compare = (a, b) => (a === "") - (b === "") || sign * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  heads.forEach(head => head.removeAttribute("aria-sort"));
  heads[at].setAttribute("aria-sort", down ? "descending" : "ascending");
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(
    (a, b) => pinned(b) - pinned(a) || compare(value(a), value(b))));
};

// Shows the rows that have all the words that are typed, and of the page's curves those of these rows.
const filtering = table => {
  const rows = [...table.tBodies[0].rows], told = made("output", { className: "quiet" });
  const input = made("input", { type: "search", placeholder: "Filter: beta_tc seed=1" });
  input.setAttribute("aria-label", "Show the rows with these words");
  input.oninput = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean), shown = new Set();
    for (const row of rows) {
      const text = `${row.dataset.run ?? ""} ${[...row.cells].map(cell => cell.textContent).join(" ")}`.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      if (!row.hidden) shown.add(row.dataset.run);
    }
    const known = new Set(rows.map(row => row.dataset.run).filter(Boolean));
    for (const part of document.querySelectorAll("[data-run]"))
      if (part.localName !== "tr" && known.has(part.dataset.run))
        part.classList.toggle("off", !shown.has(part.dataset.run));
    told.textContent = words.length ? `${rows.filter(row => !row.hidden).length} of ${rows.length}` : "";
  };
  return [input, told];
};

// Hides and shows columns; until one is chosen, as many are shown as there is room for.
const folding = (table, heads) => {
  const counted = made("span"), list = made("div", { className: "choices" });
  const boxes = heads.map((head, at) => {
    const box = made("input", { type: "checkbox", checked: true, disabled: at === 0 });
    box.onchange = () => { removeEventListener("resize", fit); show(); };
    const [name, unit] = [head.firstChild.textContent, head.querySelector("small")?.textContent];
    list.append(made("label", {}, box, unit ? ` ${name}, ${unit}` : ` ${name}`));
    return box;
  });
  const show = () => {
    for (const row of table.rows) [...row.cells].forEach((cell, at) => { cell.hidden = !boxes[at].checked; });
    counted.textContent = `Columns: ${boxes.filter(box => box.checked).length} of ${boxes.length}`;
  };
  const fold = at => Number(heads[at].dataset.fold ?? 0);
  const order = heads.map((_, at) => at).filter(fold).sort((a, b) => fold(b) - fold(a) || b - a);
  const fit = () => {
    boxes.forEach(box => { box.checked = true; });
    show();
    for (const at of order) {
      if (table.parentElement.scrollWidth <= table.parentElement.clientWidth) break;
      boxes[at].checked = false;
      show();
    }
  };
  addEventListener("resize", fit);
  return [made("details", { className: "choose" }, made("summary", {}, counted), list), fit];
};

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], sort = sorter(table, heads), [choose, fit] = folding(table, heads);
  heads.forEach((head, at) => {
    const button = made("button", { type: "button", onclick: () => sort(at) });
    button.append(...head.childNodes);
    head.append(button);
  });
  const tools = [...(table.tBodies[0].rows.length > FEW ? filtering(table) : []), choose];
  table.parentElement.before(made("div", { className: "tools" }, ...tools));
  table.classList.add("live");
  fit();
}
