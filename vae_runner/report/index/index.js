// The index of runs: pins, which the browser keeps, and the difference of two runs that are chosen.
{
  const table = document.querySelector("table.sortable"), rows = [...table.tBodies[0].rows];
  const { runs, settings } = JSON.parse(document.getElementById("settings").textContent);
  const place = document.getElementById("difference"), key = `vae_runner pins ${location.pathname}`;
  const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });

  let pins = [];
  try { pins = JSON.parse(localStorage.getItem(key)) ?? []; } catch { /* it keeps nothing: as long as the page is open */ }
  const arrange = () => {
    for (const row of rows) row.dataset.pinned = pins.includes(row.dataset.run) ? 1 : 0;
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => b.dataset.pinned - a.dataset.pinned));
  };
  const pin = (name, button) => {
    pins = pins.includes(name) ? pins.filter(one => one !== name) : [...pins, name];
    button.setAttribute("aria-pressed", pins.includes(name));
    try { localStorage.setItem(key, JSON.stringify(pins)); } catch { /* as above */ }
    arrange();
  };

  let chosen = [];
  const compare = () => {
    place.replaceChildren();
    if (chosen.length !== 2) return;
    const [a, b] = chosen.map(box => runs.indexOf(box.value)), heads = element("tr"), body = element("tbody");
    heads.append(element("th", "Setting"), element("th", runs[a]), element("th", runs[b]));
    for (const [name, values] of Object.entries(settings)) {
      if (values[a] === values[b]) continue;
      const line = element("tr");
      line.append(element("th", name), element("td", values[a] ?? "-"), element("td", values[b] ?? "-"));
      body.append(line);
    }
    const head = element("thead"), drawn = element("table"), scroll = element("div");
    [drawn.className, scroll.className] = ["difference", "scroll"];
    head.append(heads);
    drawn.append(head, body);
    scroll.append(drawn);
    const told = body.rows.length ? `What differs, ${body.rows.length} settings` : "Nothing differs in their settings";
    place.append(element("h2", told), scroll);
  };
  const choose = box => {
    chosen = box.checked ? [...chosen, box] : chosen.filter(one => one !== box);
    while (chosen.length > 2) chosen.shift().checked = false; // the oldest goes
    compare();
  };

  for (const row of rows) {
    const name = row.dataset.run, button = element("button", "Pin"), label = element("label", " compare");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: name });
    Object.assign(button, { type: "button", onclick: () => pin(name, button) });
    button.setAttribute("aria-pressed", pins.includes(name));
    button.setAttribute("aria-label", `Pin ${name}`);
    box.setAttribute("aria-label", `Compare ${name}`);
    box.onchange = () => choose(box);
    label.prepend(box);
    const tools = element("span");
    tools.className = "of-run";
    tools.append(button, label);
    row.cells[0].append(tools);
  }
  arrange();
}
