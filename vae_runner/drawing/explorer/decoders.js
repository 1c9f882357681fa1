/* Decoders that run beside the page, in a worker; where a browser lets a file have none, in the page itself. */
function makeDecoder(program, odd) {
  const [channels, height, width] = program.shape;
  const waiting = [];
  const answer = (pixels) => waiting.shift()(new ImageData(pixels, width, height));
  const worker = workerOf(program, odd, answer);
  const own = worker ? null : engine().decoder(program);
  return {
    width,
    height,
    /* The image of a code, as soon as those that were asked for before it are there. */
    decode(code) {
      return new Promise((resolve) => {
        waiting.push(resolve);
        if (worker) worker.postMessage(Float32Array.from(code));
        else setTimeout(() => answer(painted(own.run(code), channels, height * width, odd)));
      });
    },
  };
}

function workerOf(program, odd, answer) {
  const text = `"use strict";
    const make = (${engine})().decoder, painted = ${painted};
    let run, channels, pixels;
    onmessage = ({ data }) => {
      if (!run) { run = make(data).run; channels = data.shape[0]; pixels = data.shape[1] * data.shape[2]; return; }
      const made = painted(run(data), channels, pixels, [${odd}]);
      postMessage(made, [made.buffer]);
    };`;
  try {
    const place = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const worker = new Worker(place);
    worker.onmessage = ({ data }) => answer(data);
    worker.postMessage(program);
    return worker;
  } catch {
    return null;
  }
}

/* Numbers (C, H, W) in [0, 1] as a browser paints them; what is not finite is magenta, as in all pictures. */
function painted(image, channels, pixels, odd) {
  const made = new Uint8ClampedArray(4 * pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    let finite = true;
    for (let channel = 0; channel < 3; channel++) {
      const value = image[(channels < 3 ? 0 : channel) * pixels + pixel];
      finite = finite && Number.isFinite(value);
      made[4 * pixel + channel] = 255 * value;
    }
    if (!finite) made.set(odd, 4 * pixel);
    made[4 * pixel + 3] = 255;
  }
  return made;
}
