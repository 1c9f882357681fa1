/* The film strip: a latent from -2 to 2 standard scores, all others as they are; one row, or one for each latent. */
function makeStrip(view, palette) {
  const { state } = view, steps = 11;
  const rowsNow = () => view.sliders.order().filter((index) => view.run.latents[index].table);
  const liveNow = () => rowsNow().filter((index) => !view.run.latents[index].dead);
  if (!rowsNow().length) return null;
  const canvas = element("canvas", { className: "strip", role: "img", "aria-label": "film strip of a latent" });
  let which = "last", turn = 0, shown = "";
  const options = () => [["last", "the one moved last"], ...(liveNow().length > 1 ? [["all", "all that carry something"]] : []), ...rowsNow().map((index) => [String(index), named(view.run.latents[index])])];
  const latents = choice("latent", options(), (value) => { which = value; shown = ""; draw(); });
  const save = button("Save PNG", () => saved(labelled(), `${which === "all" ? "latents" : named(view.run.latents[chosenRows()[0]])}`));
  view.turned(() => { latents.offer(options()); which = latents.list.value; });
  state.watch(() => { clearTimeout(draw.later); draw.later = setTimeout(draw, 120); });
  return element("section", { className: "card wide" },
    element("h2", {}, "Film strip"),
    element("div", { className: "choices" }, latents.element, save),
    element("div", { className: "scroll" }, canvas),
    element("p", { className: "quiet" }, "From -2 to 2 standard deviations of the prior, the other latents as they are now."),
  );

  function chosenRows() {
    const rows = rowsNow();
    if (which === "all") return liveNow();
    return [which === "last" ? (rows.includes(state.pointed) ? state.pointed : rows[0]) : Number(which)];
  }

  /* Image by image, so that what moves in the meantime comes first; begun anew where the code has changed. */
  async function draw() {
    const { run, decoder } = view, chosen = chosenRows(), code = [...state.code], wanted = `${run.step} ${chosen} ${code}`;
    if (wanted === shown) return;
    const own = ++turn, gap = 2, { width, height } = decoder;
    const size = [steps * (width + gap) - gap, chosen.length * (height + gap) - gap];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    canvas.style.setProperty("--shape", `${size[0]} / ${size[1]}`);
    const pen = canvas.getContext("2d");
    for (const [row, index] of chosen.entries())
      for (let step = 0; step < steps; step++) {
        const moved = [...code];
        moved[index] = valueAt(run.latents[index].table, -2 + (4 * step) / (steps - 1));
        const image = await decoder.decode(moved);
        if (own !== turn) return;
        pen.putImageData(image, step * (width + gap), row * (height + gap));
      }
    shown = wanted;
  }

  /* The strip on paper, with the names of its rows. */
  function labelled() {
    const { run, decoder } = view;
    const zoom = Math.max(1, Math.round(96 / decoder.height)), chosen = chosenRows(), made = document.createElement("canvas");
    const texts = chosen.map((index) => [run.latents[index].factor ?? run.latents[index].name, `${run.latents[index].name}, ${(run.latents[index].nats ?? 0).toFixed(2)} nats`]);
    const pen = made.getContext("2d"), font = "system-ui, sans-serif";
    pen.font = `600 15px ${font}`;
    const side = Math.ceil(Math.max(...texts.flat().map((text) => pen.measureText(text).width))) + 24;
    [made.width, made.height] = [side + canvas.width * zoom + 12, canvas.height * zoom + 24];
    pen.fillStyle = palette.paper;
    pen.fillRect(0, 0, made.width, made.height);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(canvas, side, 12, canvas.width * zoom, canvas.height * zoom);
    const high = (decoder.height + 2) * zoom;
    texts.forEach(([first, second], row) => {
      pen.fillStyle = palette.ink;
      pen.font = `600 15px ${font}`;
      pen.fillText(first, 12, 12 + row * high + high / 2 - 3);
      pen.font = `12px ${font}`;
      pen.fillText(second, 12, 12 + row * high + high / 2 + 14);
    });
    return made;
  }
}

/* Give the reader a canvas as a file. */
function saved(canvas, name) {
  canvas.toBlob((blob) => {
    const place = URL.createObjectURL(blob), link = element("a", { href: place, download: `${name.replace(/[^\w.-]+/g, "-")}.png` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(place), 10000);
  }, "image/png");
}
