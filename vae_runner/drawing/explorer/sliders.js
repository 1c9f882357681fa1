/* The sliders of a run: a row for each latent, those that carry most first; classes are buttons. */
function makeSliders(run, state) {
  const whole = element("div", { className: "sliders" });
  let rows = rowsOf(run, state);
  whole.append(...rows.elements);
  state.watch(() => rows.show());
  return {
    element: whole,
    order: () => rows.order,
    /* Those of the run at another step. */
    turn(other) {
      const open = whole.querySelector("details")?.open;
      rows = rowsOf(other, state);
      whole.replaceChildren(...rows.elements);
      const folded = whole.querySelector("details");
      if (folded && open !== undefined) folded.open = open;
    },
  };
}

function rowsOf(run, state) {
  const rows = run.latents.map((latent, index) => ({ latent, index })).filter(({ latent }) => latent.table);
  rows.sort((a, b) => (b.latent.nats ?? Infinity) - (a.latent.nats ?? Infinity));
  const most = Math.max(...run.latents.map(({ nats }) => nats ?? 0), 1e-9);
  const live = rows.filter(({ latent }) => !latent.dead), dead = rows.filter(({ latent }) => latent.dead);
  const sliders = new Map();
  const row = ({ latent, index }) => {
    const made = makeSlider(run, state, latent, index, most);
    sliders.set(index, made);
    return made.element;
  };
  const classes = run.spaces.filter(({ chances }) => chances).map((space) => makeClasses(run, state, space));
  const folded = dead.length
    ? element("details", { className: "dead", open: !live.length && !classes.length },
        element("summary", {}, `${dead.length} ${dead.length > 1 ? "latents carry" : "latent carries"} next to nothing`), ...dead.map(row))
    : null;
  return {
    elements: [...classes.map((one) => one.element), ...live.map(row), folded].filter(Boolean),
    order: [...live, ...dead].map(({ index }) => index),
    show() {
      sliders.forEach((one) => one.show());
      classes.forEach((one) => one.show());
    },
  };
}

function makeSlider(run, state, latent, index, most) {
  const name = newName(), { table } = latent;
  const value = element("output", { htmlFor: name, className: "value" });
  const range = element("input", {
    type: "range", id: name, min: -3.5, max: 3.5, step: 0.01, data: { latent: index },
    on: {
      input: () => state.put(index, valueAt(table, Number(range.value))),
      focus: () => state.point(index),
      pointerdown: () => state.point(index),
      dblclick: () => state.put(index, valueAt(table, 0)),
    },
  });
  range.addEventListener("wheel", (event) => {
    event.preventDefault();
    const score = Math.min(Math.max(scoreOf(table, state.code[index]) - Math.sign(event.deltaY || event.deltaX) * 0.1, -3.5), 3.5);
    state.point(index);
    state.put(index, valueAt(table, score));
  }, { passive: false });
  const nats = latent.nats === null ? "?" : latent.nats < 0.05 ? "< 0.05" : latent.nats.toFixed(2);
  const about = latent.factor ? `${latent.name} · ${latent.strength.toFixed(2)}` : "";
  const line = element("div", { className: "latent", data: { latent: index } },
    element("label", { htmlFor: name }, element("b", {}, latent.factor ?? latent.name), element("small", { title: latent.factor ? `${latent.name} follows ${latent.factor}; 1 is closest` : null }, about)),
    element("div", { className: "track" }, heap(run, table, index), range),
    value,
    element("span", { className: "nats", title: `${nats} nats of KL(q(z|x) || p(z))` }, bar((latent.nats ?? 0) / most), element("small", {}, `${nats} nats`)),
  );
  return {
    element: line,
    show() {
      const own = state.code[index];
      range.value = scoreOf(table, own);
      range.setAttribute("aria-valuetext", own.toFixed(2));
      value.value = own.toFixed(2);
      line.classList.toggle("pointed", state.pointed === index);
    },
  };
}

function bar(part) {
  const inner = element("span");
  inner.style.width = `${(100 * Math.min(Math.max(part, 0), 1)).toFixed(1)}%`;
  return element("span", { className: "bar", "aria-hidden": "true" }, inner);
}

/* How often images' codes lie where, along a slider's way. */
function heap(run, table, index) {
  const bins = 56, counts = new Array(bins).fill(0), { codes, dims, count } = run.cloud;
  for (let image = 0; image < count; image++) {
    const place = Math.floor(((scoreOf(table, codes[image * dims + index]) + 3.5) / 7) * bins);
    if (place >= 0 && place < bins) counts[place]++;
  }
  const tallest = Math.max(...counts, 1), path = counts.map((one, place) => `L${place + 0.5} ${(24 - (22 * one) / tallest).toFixed(1)}`).join("");
  return drawing("svg", { viewBox: `0 0 ${bins} 24`, preserveAspectRatio: "none", "aria-hidden": "true" }, drawing("path", { d: `M0 24${path}L${bins} 24Z` }));
}

/* Buttons for the classes of a latent space, of which one is chosen. */
function makeClasses(run, state, { first, dims, name }) {
  const group = newName(), latents = run.latents.slice(first, first + dims);
  const nats = latents.reduce((sum, latent) => sum + (latent.nats ?? 0), 0);
  const buttons = latents.map((_, index) =>
    button(String(index), () => state.set(state.code.map((value, at) => (at < first || at >= first + dims ? value : Number(at === first + index)))), { data: { latent: first + index } }),
  );
  const whole = element("div", { className: "latent classes", role: "group", "aria-labelledby": group },
    element("span", { id: group, className: "title" }, element("b", {}, name || "class"), element("small", {}, `one of ${dims}`)),
    element("div", { className: "buttons" }, ...buttons),
    element("span", { className: "nats" }, element("small", {}, `${nats.toFixed(2)} nats`)),
  );
  return {
    element: whole,
    show() {
      const own = state.code.slice(first, first + dims), most = own.indexOf(Math.max(...own));
      buttons.forEach((one, index) => one.setAttribute("aria-pressed", String(index === most)));
    },
  };
}
