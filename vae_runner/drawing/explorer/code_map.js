/* The map: where the codes of images lie in two latents; a point that is touched is decoded. */
function makeMap(view, palette) {
  const { run, state } = view, numbers = view.sliders.order().filter((index) => run.latents[index].table);
  if (numbers.length < 2 || !run.cloud.count) return null;
  let [across, up] = numbers;
  let factor = run.map.factors.find(({ name }) => name === run.latents[across].factor) ?? run.map.factors[0] ?? null;
  const canvas = element("canvas", { className: "map", tabIndex: 0, role: "application", "aria-label": "map of codes: arrow keys move the point that is decoded" });
  const legend = element("p", { className: "legend" }), dots = document.createElement("canvas");
  let drawn = "";
  const show = oncePerFrame(draw);
  const options = () => numbers.map((index) => [String(index), named(view.run.latents[index])]);
  const axes = [choice("across", options(), (value) => { across = Number(value); show(); }), choice("up", options(), (value) => { up = Number(value); show(); })];
  const heading = element("h2");
  axes[0].list.value = String(across);
  axes[1].list.value = String(up);
  const colours = run.map.factors.length
    ? choice("colour", run.map.factors.map(({ name }, index) => [String(index), name]), (value) => { factor = run.map.factors[Number(value)]; show(); })
    : null;
  if (colours) colours.list.value = String(run.map.factors.indexOf(factor));
  const touch = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = canvas.getBoundingClientRect(), [[left, right], [low, high]] = ends();
    const part = (value, from, size) => Math.min(Math.max((value - from) / size, 0), 1);
    const x = left + part(event.clientX, box.left, box.width) * (right - left), y = high - part(event.clientY, box.top, box.height) * (high - low);
    if (event.type === "pointerdown") { canvas.setPointerCapture(event.pointerId); state.point(across); }
    state.set(state.code.map((value, index) => (index === across ? x : index === up ? y : value)));
  };
  canvas.addEventListener("pointerdown", touch);
  canvas.addEventListener("pointermove", touch);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const moved = ends().map(([low, high], axis) => (step[axis] * (high - low)) / 50);
    state.set(state.code.map((value, index) => (index === across ? value + moved[0] : index === up ? value + moved[1] : value)));
  });
  new ResizeObserver(show).observe(canvas);
  dark.addEventListener("change", show);
  state.watch(show);
  const count = () => (heading.textContent = `Map of ${view.run.cloud.count.toLocaleString("en")} images`);
  count();
  view.turned(() => { axes.forEach((axis) => axis.offer(options())); count(); });
  return element("section", { className: "card" },
    heading,
    element("div", { className: "choices" }, ...axes.map((one) => one.element), colours?.element),
    canvas, legend,
    element("p", { className: "quiet" }, "A dot is an image's code. Touch the map to decode a point; the other latents stay."),
  );

  /* From where to where the axes go: three standard scores of the prior, or as far as codes lie. */
  function ends() {
    const { codes, dims, count } = view.run.cloud;
    return [across, up].map((index) => {
      const { table } = view.run.latents[index];
      let low = valueAt(table, -3), high = valueAt(table, 3);
      for (let image = 0; image < count; image++) {
        low = Math.min(low, codes[image * dims + index]);
        high = Math.max(high, codes[image * dims + index]);
      }
      return [low, high > low ? high : low + 1];
    });
  }

  function draw() {
    const scale = devicePixelRatio || 1, box = canvas.getBoundingClientRect();
    const width = Math.max(Math.round(box.width * scale), 1), height = Math.max(Math.round(box.height * scale), 1);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const { run } = view, pen = canvas.getContext("2d"), [[left, right], [low, high]] = ends();
    const place = (x, y) => [((x - left) / (right - left)) * width, ((high - y) / (high - low)) * height];
    const wanted = [width, height, across, up, factor?.name, dark.matches, run.step].join();
    if (wanted !== drawn) { // else but the ring has moved
      [dots.width, dots.height] = [width, height];
      drawDots(dots.getContext("2d"), run, place, scale);
      drawn = wanted;
    }
    pen.clearRect(0, 0, width, height);
    pen.drawImage(dots, 0, 0);
    const [x, y] = place(state.code[across], state.code[up]);
    for (const [size, ink] of [[5, "paper"], [2.5, "ink"]]) {
      pen.strokeStyle = colour(ink);
      pen.lineWidth = size * scale;
      pen.beginPath(); pen.arc(x, y, 8 * scale, 0, 2 * Math.PI); pen.stroke();
    }
  }

  function drawDots(pen, run, place, scale) {
    const { codes, dims, count } = run.cloud, { width, height } = dots;
    pen.strokeStyle = colour("rule");
    pen.lineWidth = scale;
    const [zeroX, zeroY] = place(valueAt(run.latents[across].table, 0), valueAt(run.latents[up].table, 0)).map((one) => Math.round(one) + 0.5);
    pen.beginPath(); pen.moveTo(zeroX, 0); pen.lineTo(zeroX, height); pen.moveTo(0, zeroY); pen.lineTo(width, zeroY); pen.stroke();
    const shades = shadesOf(factor, palette);
    pen.globalAlpha = 0.8;
    pen.lineWidth = scale / 2;
    pen.strokeStyle = colour("quiet");
    for (let image = 0; image < count; image++) {
      const [x, y] = place(codes[image * dims + across], codes[image * dims + up]);
      pen.fillStyle = shades.of(image);
      pen.beginPath(); pen.arc(x, y, 2.2 * scale, 0, 2 * Math.PI); pen.fill();
      if (dark.matches) pen.stroke();
    }
    shades.tell(legend);
  }
}

/* The colour of each image, by the value of a factor, and what the colours mean. */
function shadesOf(factor, palette) {
  if (!factor) return { of: () => colour("c0"), tell: () => {} };
  const { kind, levels, labels, ends } = factor;
  const swatch = (shade) => { const made = element("span", { className: "swatch" }); made.style.background = shade; return made; };
  if (kind === "classes") {
    const shades = Array.from({ length: 8 }, (_, index) => colour(`c${index}`));
    const count = labels.length || levels.reduce((most, level) => Math.max(most, level), 0) + 1;
    return {
      of: (image) => shades[levels[image] % 8],
      tell: (place) => place.replaceChildren(...Array.from({ length: Math.min(count, 12) }, (_, index) => element("span", {}, swatch(shades[index % 8]), labels[index] ?? String(index)))),
    };
  }
  const whole = palette[kind], colours = kind === "values" && dark.matches ? whole.slice(2) : whole; // its darkest are lost on dark
  const shades = Array.from({ length: 256 }, (_, level) => between(colours, level / (kind === "circle" ? 256 : 255)));
  const ramp = element("span", { className: "ramp" });
  ramp.style.background = `linear-gradient(90deg, ${colours.join(", ")})`;
  const [first, last] = kind === "circle" ? ["0", "a full turn"] : ends.map((value) => shortly(Number(value.toPrecision(3))));
  return { of: (image) => shades[levels[image]], tell: (place) => place.replaceChildren(first, ramp, last) };
}
