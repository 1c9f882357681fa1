/* Elements of the page. Text enters it as text: `element` takes properties, attributes and children, never markup. */
function element(name, given = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined) continue;
    if (key in made && key !== "list" && typeof value !== "object") made[key] = value;
    else if (key === "on") for (const [event, does] of Object.entries(value)) made.addEventListener(event, does);
    else if (key === "data") Object.assign(made.dataset, value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function drawing(name, given, ...children) { // of SVG
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

let numbered = 0;
const newName = () => `e${++numbered}`;

const button = (text, does, given = {}) => element("button", { type: "button", ...given, on: { click: does } }, text);

function choice(label, options, does) {
  const name = newName();
  const list = element("select", { id: name, on: { change: () => does(list.value) } });
  const offer = (those) => { // the choice stays, where it is still among them
    const before = list.value;
    list.replaceChildren(...those.map(([value, text]) => element("option", { value }, text)));
    if (those.some(([value]) => value === before)) list.value = before;
  };
  offer(options);
  return { element: element("span", { className: "choice" }, element("label", { htmlFor: name }, label), list), list, offer };
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

/* The colour at a part, 0 to 1, of the way through colours '#rrggbb'. */
function between(colours, part) {
  const place = Math.min(Math.max(part, 0), 1) * (colours.length - 1), index = Math.min(Math.floor(place), colours.length - 2);
  const [a, b] = [colours[index], colours[index + 1]].map((one) => [1, 3, 5].map((at) => parseInt(one.slice(at, at + 2), 16)));
  return `rgb(${a.map((value, at) => Math.round(value + (b[at] - value) * (place - index))).join(" ")})`;
}

/* What a latent is called: the factor that it follows, and beside it its own name. */
function named(latent) {
  return latent.factor ? `${latent.factor} (${latent.name})` : latent.name;
}

/* Once for a whole frame, however often it is asked for. */
function oncePerFrame(does) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; does(); });
  };
}
