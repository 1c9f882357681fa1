/* Steps that are compared: what a run knows of each, and the slider that goes through them. The image, or the code, stays
   the same; encoder, decoder, and what latents carry are those of the step. */

/* A run at each of its steps, in their order: as it reports itself, and as it was at others. */
function stepsOf(run) {
  const others = (run.past?.steps ?? []).map((known) => ({
    ...run,
    ...known,
    cloud: undefined, // of its own codes
    start: { ...run.start, codes: known.codes.start },
    map: { ...run.map, codes: known.codes.map, count: known.codes.count },
  }));
  return [run, ...others].sort((a, b) => a.step - b.step);
}

function makeSteps(view) {
  const { past, step: own } = view.run, steps = stepsOf(view.run), { state } = view;
  if (!past) return null;
  const told = (run) => `step ${run.step.toLocaleString("en")}${run.step === own ? ", reported" : ""}`;
  const name = newName(), value = element("output", { htmlFor: name });
  const range = element("input", {
    type: "range", id: name, min: 0, max: steps.length - 1, step: 1, value: steps.indexOf(view.run), className: "step",
    on: { input: () => view.turn(steps[Number(range.value)]) },
  });
  const image = button("Same image", () => state.go(state.source(view.run), state.source), { title: "an image of the data, encoded by each step's own encoder" });
  const code = button("Same code", () => state.set(state.code), { title: "the numbers stay, whatever they mean at other steps" });
  state.watch(() => {
    value.value = told(view.run);
    range.setAttribute("aria-valuetext", value.value);
    image.setAttribute("aria-pressed", String(Boolean(state.origin)));
    code.setAttribute("aria-pressed", String(!state.origin));
    image.disabled = !state.source;
  });
  return element("section", { className: "card steps" },
    steps.length > 1 ? element("div", { className: "choices" },
      element("label", { htmlFor: name }, element("b", {}, "Weights of")), value, range,
      element("div", { className: "pair", role: "group", "aria-label": "what stays the same at other steps" }, image, code)) : null,
    past.line ? element("p", { className: "quiet" }, past.line) : null,
  );
}
