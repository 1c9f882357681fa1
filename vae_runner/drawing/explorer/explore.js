/* The page: for each run an image and its sliders, and what several have in common: images to start from. */
const known = JSON.parse(document.getElementById("known").textContent);

/* A code that is shown; `set` goes there at once, `go` on the way that an eye can follow. A code of images has an origin,
   which makes it of a run, whatever its step; `source` is the last one that there was. */
function makeState(run) {
  const watching = [];
  const tell = oncePerFrame(() => watching.forEach((does) => does()));
  const first = run.start.codes[0] ? (at) => at.start.codes[0] : null;
  let way = 0;
  const state = {
    code: first ? [...first(run)] : middle(run),
    origin: first,
    source: first,
    pointed: null,
    watch: (does) => watching.push(does),
    from(origin) { state.origin = origin; state.source = origin ?? state.source; },
    put(index, value) { way++; state.from(null); state.code[index] = value; tell(); },
    set(code, origin = null) { way++; state.from(origin); state.code = [...code]; tell(); },
    point(index) { state.pointed = index; tell(); },
    go(code, origin = null) {
      if (calm.matches) return state.set(code, origin);
      state.from(origin);
      const own = ++way, from = [...state.code], began = performance.now();
      const step = () => {
        if (own !== way) return;
        const part = Math.min((performance.now() - began) / 320, 1), eased = part * part * (3 - 2 * part);
        state.code = part < 1 ? blended(from, code, eased) : [...code];
        tell();
        if (part < 1) requestAnimationFrame(step);
      };
      step();
    },
    tell,
  };
  return state;
}

/* The image of a state's code; arrow keys and the wheel move the latent that is pointed at. */
function makeStage(view) {
  const { state, decoder } = view;
  const canvas = element("canvas", { className: "stage", width: decoder.width, height: decoder.height, tabIndex: 0, role: "application" });
  canvas.style.setProperty("--shape", `${decoder.width} / ${decoder.height}`);
  let busy = false, again = false;
  const draw = async () => {
    if (busy) { again = true; return; }
    busy = true;
    do {
      again = false;
      const code = [...state.code], { step } = view.run, image = await view.decoder.decode(code);
      canvas.getContext("2d").putImageData(image, 0, 0);
      canvas.dataset.step = step;
      canvas.dataset.shown = asText(code);
    } while (again);
    busy = false;
  };
  const numbersNow = () => view.sliders.order().filter((index) => view.run.latents[index].table);
  const pointed = () => { const numbers = numbersNow(); return numbers.includes(state.pointed) ? state.pointed : numbers[0]; };
  const nudge = (by) => {
    const index = pointed();
    if (index === undefined) return;
    const { table } = view.run.latents[index], score = Math.min(Math.max(scoreOf(table, state.code[index]) + by, -3.5), 3.5);
    state.point(index);
    state.put(index, valueAt(table, score));
  };
  const step = (by, numbers = numbersNow()) => state.point(numbers[(numbers.indexOf(state.pointed) + by + numbers.length) % numbers.length]);
  canvas.addEventListener("keydown", (event) => {
    const does = { ArrowLeft: () => nudge(-0.1), ArrowRight: () => nudge(0.1), ArrowUp: () => step(-1), ArrowDown: () => step(1) }[event.key];
    if (does && pointed() !== undefined) { event.preventDefault(); does(); }
  });
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas) return; // else the page could not be scrolled
    event.preventDefault();
    nudge(-Math.sign(event.deltaY || event.deltaX) * 0.1);
  }, { passive: false });
  state.watch(() => {
    draw();
    const index = pointed();
    canvas.setAttribute("aria-label", `decoded image${index === undefined ? "" : `; left and right move ${named(view.run.latents[index])}, up and down choose another`}`);
  });
  return canvas;
}

/* The code as a text, which can be copied, and pasted. */
function makeText(view) {
  const { run, state } = view, name = newName(), said = element("span", { className: "quiet", role: "status" });
  const box = element("textarea", {
    id: name, rows: 3, spellcheck: false, className: "code",
    on: {
      input: () => {
        const code = asCode(box.value, run.latents.length);
        box.setAttribute("aria-invalid", String(!code));
        if (code) state.go(code);
      },
    },
  });
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      box.select();
      document.execCommand("copy");
    }
    said.textContent = "copied";
    setTimeout(() => (said.textContent = ""), 1500);
  };
  const command = button("Copy as command", () => copy(`vae-use sample RUN codes=${asText(state.code)} out=decoded`));
  state.watch(() => {
    command.disabled = view.run !== run;
    command.title = command.disabled ? "the command decodes by the weights that the run reports" : "vae-use sample RUN codes=... out=decoded";
    if (document.activeElement !== box) { box.value = asText(state.code); box.removeAttribute("aria-invalid"); }
  });
  return element("div", { className: "text" },
    element("label", { htmlFor: name }, "Code"), box,
    element("div", { className: "buttons" },
      button("Copy", () => copy(asText(state.code))),
      command,
      said),
  );
}

/* Buttons that bring every run somewhere: to draws of its own, or to the middle. */
function makeJumps(views) {
  const all = (make) => () => views.forEach(({ run, state }) => state.go(make(run)));
  const mixture = () => views.every(({ run }) => run.mixture);
  const codes = mixture() ? button("Sample the codes", all((run) => drawnOfMixture(run.mixture)), { title: "of a mixture of Gaussians that was fitted to codes of images" }) : null;
  views.forEach((view) => view.turned(() => { if (codes) codes.disabled = !mixture(); }));
  return element("div", { className: "buttons" },
    button("Sample the prior", all(drawnOfPrior), { className: "main" }),
    codes,
    button("Middle", all(middle), { title: "the middle of the prior" }),
  );
}

/* Images of the data: the one that is started from, and another to blend to. */
function makeGallery(views) {
  const [first, ...others] = views.map(({ run }) => run.start);
  const shared = first.indices.map((index, place) => [place, ...others.map(({ indices }) => indices.indexOf(index))]).filter((places) => !places.includes(-1));
  if (!shared.length) return null;
  let from = shared[0], to = null, role = "from";
  const code = (places, view) => ({ start }) => start.codes[places[view]];
  const mix = (part, view, [a, b] = [code(from, view), code(to, view)]) => (run) => blended(a(run), b(run), part);
  const ends = [element("img", { alt: "start" }), element("img", { alt: "end" })];
  const range = element("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "blend from the first image to the second", on: { input: () => mixed(Number(range.value)) } });
  const mixed = (part) => views.forEach(({ run, state }, view) => { const made = mix(part, view); state.set(made(run), made); });
  const go = (make) => views.forEach(({ run, state }, view) => { const made = make(view); state.go(made(run), made); });
  const blend = element("div", { className: "blend", hidden: true }, ends[0], range, ends[1]);
  const thumbs = shared.map((places, number) =>
    element("button", { type: "button", className: "thumb", "aria-label": `image ${number + 1}`, on: { click: () => pick(places) } }, element("img", { src: first.pictures[places[0]], alt: "" })));
  const roles = [["from", "Start from"], ["to", "Blend to"]].map(([value, text]) => button(text, () => { role = value; show(); }, { data: { role: value } }));
  show();
  return element("section", { className: "card" },
    element("h2", {}, "Images of the data"),
    element("div", { className: "choices" }, element("div", { className: "pair", role: "group", "aria-label": "what a click on an image does" }, ...roles), blend),
    element("div", { className: "gallery" }, ...thumbs),
  );

  function pick(places) {
    if (role === "from") from = places; else to = places;
    range.value = 0;
    if (role === "from") go((view) => code(from, view));
    else { range.value = 0.5; go((view) => mix(0.5, view)); }
    show();
  }

  function show() {
    roles.forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.role === role)));
    thumbs.forEach((thumb, number) => {
      thumb.classList.toggle("from", shared[number] === from);
      thumb.classList.toggle("to", shared[number] === to);
    });
    blend.hidden = !to;
    ends[0].src = first.pictures[from[0]];
    if (to) ends[1].src = first.pictures[to[0]];
  }
}

/* A run and all that shows it. `turn` goes to the run at another step, and tells those that have asked by `turned`. */
function makeView(run) {
  run.map.factors.forEach((factor) => (factor.levels = bytesOf(factor.levels)));
  const turning = [], decoders = new Map();
  const decoderOf = (at) => decoders.get(at) ?? decoders.set(at, makeDecoder(at.program, known.palette.odd)).get(at);
  const view = {
    run: withCloud(run),
    state: makeState(run),
    decoder: decoderOf(run),
    turned: (does) => turning.push(does),
    turn(other) {
      const { state } = view;
      view.run = withCloud(other);
      view.decoder = decoderOf(other);
      view.sliders.turn(other);
      turning.forEach((does) => does());
      if (state.origin) state.set(state.origin(other), state.origin); else state.set(state.code);
    },
  };
  view.sliders = makeSliders(run, view.state);
  view.stage = makeStage(view);
  return view;
}

function withCloud(run) {
  run.cloud ??= { codes: halves(run.map.codes), dims: run.latents.length, count: run.map.count };
  return run;
}

const about = (run) => [...run.about.filter(Boolean), `step ${run.step.toLocaleString("en")}`].join(" · ");

function single(view) {
  const { run, sliders, stage } = view;
  return [
    element("header", {}, element("h1", {}, run.name), element("p", { className: "quiet" }, about(run), " · ", element("a", { href: "report.html" }, "report"))),
    makeSteps(view),
    element("div", { className: "board" },
      element("div", { className: "left" }, element("div", { className: "frame" }, stage), makeJumps([view]), makeText(view)),
      element("section", { className: "card right" }, element("div", { className: "heading" }, element("h2", {}, "Latents"), element("small", { className: "quiet" }, "drag, scroll or use the arrow keys; the hills show where images lie")), sliders.element)),
    element("div", { className: "lower" }, makeStrip(view, known.palette), makeGallery([view]), makeMap(view, known.palette)),
  ];
}

function several(views) {
  return [
    element("header", {}, element("h1", {}, known.title ?? `${views.length} runs side by side`), makeJumps(views)),
    makeGallery(views),
    element("div", { className: "runs" }, ...views.map(({ run, sliders, stage }) =>
      element("section", { className: "card" }, element("h2", {}, run.name), element("p", { className: "quiet" }, about(run)), element("div", { className: "frame" }, stage), sliders.element))),
  ];
}

const views = known.runs.map(makeView);
document.getElementById("page").replaceChildren(...(views.length > 1 ? several(views) : single(views[0])).filter(Boolean));
views.forEach(({ state }) => state.tell());
