/* The page: for each run an image and its sliders, and what several have in common: images to start from. */
const known = JSON.parse(document.getElementById("known").textContent);

/* A code that is shown; `set` goes there, at once or on the way that an eye can follow. */
function makeState(run) {
  const watching = [];
  const tell = oncePerFrame(() => watching.forEach((does) => does()));
  let way = 0;
  const state = {
    code: run.start.codes[0] ? [...run.start.codes[0]] : middle(run),
    pointed: null,
    watch: (does) => watching.push(does),
    put(index, value) { way++; state.code[index] = value; tell(); },
    set(code) { way++; state.code = [...code]; tell(); },
    point(index) { state.pointed = index; tell(); },
    go(code) {
      if (calm.matches) return state.set(code);
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
function makeStage(run, state, decoder, order) {
  const canvas = element("canvas", { className: "stage", width: decoder.width, height: decoder.height, tabIndex: 0, role: "application" });
  canvas.style.setProperty("--shape", `${decoder.width} / ${decoder.height}`);
  let busy = false, again = false;
  const draw = async () => {
    if (busy) { again = true; return; }
    busy = true;
    do {
      again = false;
      const code = [...state.code], image = await decoder.decode(code);
      canvas.getContext("2d").putImageData(image, 0, 0);
      canvas.dataset.shown = asText(code);
    } while (again);
    busy = false;
  };
  const numbers = order.filter((index) => run.latents[index].table);
  const nudge = (by) => {
    const index = numbers.includes(state.pointed) ? state.pointed : numbers[0];
    if (index === undefined) return;
    const { table } = run.latents[index], score = Math.min(Math.max(scoreOf(table, state.code[index]) + by, -3.5), 3.5);
    state.point(index);
    state.put(index, valueAt(table, score));
  };
  const step = (by) => state.point(numbers[(numbers.indexOf(state.pointed) + by + numbers.length) % numbers.length]);
  canvas.addEventListener("keydown", (event) => {
    const does = { ArrowLeft: () => nudge(-0.1), ArrowRight: () => nudge(0.1), ArrowUp: () => step(-1), ArrowDown: () => step(1) }[event.key];
    if (does && numbers.length) { event.preventDefault(); does(); }
  });
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas) return; // else the page could not be scrolled
    event.preventDefault();
    nudge(-Math.sign(event.deltaY || event.deltaX) * 0.1);
  }, { passive: false });
  state.watch(() => {
    draw();
    const index = numbers.includes(state.pointed) ? state.pointed : numbers[0];
    canvas.setAttribute("aria-label", `decoded image${index === undefined ? "" : `; left and right move ${named(run.latents[index])}, up and down choose another`}`);
  });
  return canvas;
}

/* The code as a text, which can be copied, and pasted. */
function makeText(run, state) {
  const name = newName(), said = element("span", { className: "quiet", role: "status" });
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
  state.watch(() => {
    if (document.activeElement !== box) { box.value = asText(state.code); box.removeAttribute("aria-invalid"); }
  });
  return element("div", { className: "text" },
    element("label", { htmlFor: name }, "Code"), box,
    element("div", { className: "buttons" },
      button("Copy", () => copy(asText(state.code))),
      button("Copy as command", () => copy(`vae-use sample RUN codes=${asText(state.code)} out=decoded`), { title: "vae-use sample RUN codes=... out=decoded" }),
      said),
  );
}

/* Buttons that bring every run somewhere: to draws of its own, or to the middle. */
function makeJumps(views) {
  const all = (make) => () => views.forEach(({ run, state }) => state.go(make(run)));
  const mixture = views.every(({ run }) => run.mixture);
  return element("div", { className: "buttons" },
    button("Sample the prior", all(drawnOfPrior), { className: "main" }),
    mixture ? button("Sample the codes", all((run) => drawnOfMixture(run.mixture)), { title: "of a mixture of Gaussians that was fitted to codes of images" }) : null,
    button("Middle", all(middle), { title: "the middle of the prior" }),
  );
}

/* Images of the data: the one that is started from, and another to blend to. */
function makeGallery(views) {
  const [first, ...others] = views.map(({ run }) => run.start);
  const shared = first.indices.map((index, place) => [place, ...others.map(({ indices }) => indices.indexOf(index))]).filter((places) => !places.includes(-1));
  if (!shared.length) return null;
  let from = shared[0], to = null, role = "from";
  const codes = (places) => views.map(({ run }, view) => run.start.codes[places[view]]);
  const ends = [element("img", { alt: "start" }), element("img", { alt: "end" })];
  const range = element("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "blend from the first image to the second", on: { input: () => mixed(Number(range.value)) } });
  const mixed = (part) => {
    const [a, b] = [codes(from), codes(to)];
    views.forEach(({ state }, view) => state.set(blended(a[view], b[view], part)));
  };
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
    if (role === "from") views.forEach(({ state }, view) => state.go(codes(from)[view]));
    else { range.value = 0.5; const [a, b] = [codes(from), codes(to)]; views.forEach(({ state }, view) => state.go(blended(a[view], b[view], 0.5))); }
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

function makeView(run) {
  run.cloud = { codes: halves(run.map.codes), dims: run.latents.length, count: run.map.count };
  run.map.factors.forEach((factor) => (factor.levels = bytesOf(factor.levels)));
  const state = makeState(run), decoder = makeDecoder(run.program, known.palette.odd), sliders = makeSliders(run, state);
  return { run, state, decoder, sliders, stage: makeStage(run, state, decoder, sliders.order) };
}

const about = (run) => [...run.about.filter(Boolean), `step ${run.step.toLocaleString("en")}`].join(" · ");

function single(view) {
  const { run, state, decoder, sliders, stage } = view;
  return [
    element("header", {}, element("h1", {}, run.name), element("p", { className: "quiet" }, about(run), " · ", element("a", { href: "report.html" }, "report"))),
    element("div", { className: "board" },
      element("div", { className: "left" }, element("div", { className: "frame" }, stage), makeJumps([view]), makeText(run, state)),
      element("section", { className: "card right" }, element("div", { className: "heading" }, element("h2", {}, "Latents"), element("small", { className: "quiet" }, "drag, scroll or use the arrow keys; the hills show where images lie")), sliders.element)),
    element("div", { className: "lower" }, makeStrip(run, state, decoder, known.palette, sliders.order), makeGallery([view]), makeMap(run, state, known.palette, sliders.order)),
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
