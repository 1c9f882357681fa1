/* Codes: arrays of numbers, one for each latent, those of all spaces one behind the other. */

const { bytesOf, halves: halvesOf } = engine();

/* Half floats in base64, as an array of numbers. */
function halves(text) {
  const bytes = bytesOf(text);
  return halvesOf(bytes, 0, bytes.length / 2);
}

/* A latent's value at a standard score, and back: by the table of its quantiles at -4, -3.9, ..., 4. */
function valueAt(table, score) {
  const place = Math.min(Math.max((score + 4) / 8, 0), 1) * (table.length - 1);
  const index = Math.min(Math.floor(place), table.length - 2);
  return table[index] + (table[index + 1] - table[index]) * (place - index);
}

function scoreOf(table, value) {
  let low = 0, high = table.length - 1;
  if (!(value > table[0])) return -4;
  if (!(value < table[high])) return 4;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (table[middle] <= value) low = middle; else high = middle;
  }
  const width = table[high] - table[low];
  return ((low + (width > 0 ? (value - table[low]) / width : 0)) / (table.length - 1)) * 8 - 4;
}

function normal() { // Box & Muller
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

function chosen(chances) {
  let rest = Math.random() * chances.reduce((sum, chance) => sum + chance, 0);
  const index = chances.findIndex((chance) => (rest -= chance) < 0);
  return index < 0 ? chances.length - 1 : index;
}

/* A draw of the prior. */
function drawnOfPrior(run) {
  return run.spaces.flatMap((space, number) => {
    const latents = run.latents.slice(space.first, space.first + space.dims);
    if (space.chances) {
      const which = chosen(space.chances);
      return latents.map((_, index) => Number(index === which));
    }
    if (run.draws[number]) {
      const draws = halves(run.draws[number]), row = Math.floor(Math.random() * (draws.length / space.dims));
      return Array.from(draws.slice(row * space.dims, (row + 1) * space.dims));
    }
    return latents.map(({ table }) => valueAt(table, normal()));
  });
}

/* A draw of the mixture of Gaussians that was fitted to codes. */
function drawnOfMixture({ weights, means, lower }) {
  const mean = halves(means), root = halves(lower), dims = mean.length / weights.length, which = chosen(weights);
  const noise = Array.from({ length: dims }, normal);
  return noise.map((_, row) => {
    let value = mean[which * dims + row];
    for (let column = 0; column <= row; column++) value += root[(which * dims + row) * dims + column] * noise[column];
    return value;
  });
}

/* The middle of the prior. */
function middle(run) {
  return run.spaces.flatMap((space) =>
    run.latents.slice(space.first, space.first + space.dims).map(({ table }, index) => (space.chances ? Number(index === 0) : valueAt(table, 0))),
  );
}

const blended = (a, b, part) => a.map((value, index) => value + (b[index] - value) * part);

const shortly = (value) => String(Number(value.toPrecision(5)));
const asText = (code) => code.map(shortly).join(",");

/* The code that a text says, or null where it says none of so many numbers. */
function asCode(text, dims) {
  const parts = text.trim().replace(/^codes=/, "").split(/[\s,;]+/).filter(Boolean), code = parts.map(Number);
  return code.length === dims && code.every(Number.isFinite) ? code : null;
}
