/* A decoder written down as steps (visualisation/exploring/program.py), run on plain arrays: one image at a time, into
   buffers that are made once. `decoder(program)` has `run(codes)`, which returns the image's numbers, (C, H, W).

   What a step's `op` is, on contiguous arrays of static shapes:

     matmul    (B, M, K) (B, K, N) -> (B, M, N); a batch of 1 is used for all
     conv      (N, C, H, W), weights (O, C / groups, kh, kw)
     deconv    its adjoint; weights (groups, O / groups, kh, kw, C / groups)
     norm      each run of `size` numbers to mean 0 and variance 1, then times a weight and plus a bias
     map       a function of one number;  pair: of two, which are broadcast;  where: the second or the third
     strided   another view of the same numbers;  cat: several beside each other;  pad: with a number around

   A product is C = A B' of rows that lie one behind the other: of a convolution A are its weights and a row of B is what
   a pixel sees; of its adjoint a row of B is a pixel of the smaller image, and C is summed up where it falls. */
function decoder(program) {
  const bytes = bytesOf(program.weights);
  const constants = program.constants.map((one) => numbers(bytes, one));
  const sizes = program.sizes;
  const registers = sizes.map((size) => new Float32Array(size));
  const scratch = { rows: new Float64Array(0), product: new Float64Array(0) };
  const at = (place) => (place === null ? null : place < 0 ? constants[-1 - place] : registers[place]);
  const steps = program.steps.map((step) => makers[step.op](step, step.in.map(at), registers[step.out], scratch));
  return {
    run(codes) {
      registers[0].set(codes);
      for (let index = 0; index < steps.length; index++) steps[index]();
      return registers[program.result];
    },
  };
}

function numbers(bytes, { kind, start, size }) {
  return kind === "f4" ? new Float32Array(bytes.buffer.slice(start, start + 4 * size)) : halves(bytes, start, size);
}

function bytesOf(text) {
  const raw = atob(text), made = new Uint8Array(raw.length);
  for (let index = 0; index < raw.length; index++) made[index] = raw.charCodeAt(index);
  return made;
}

/* Half floats, as an array of numbers. */
function halves(bytes, start, size) {
  const made = new Float32Array(size);
  for (let index = 0, at = start; index < size; index++, at += 2) {
    const half = bytes[at] | (bytes[at + 1] << 8), exponent = (half >> 10) & 31, mantissa = half & 1023;
    const value = exponent ? (1 + mantissa / 1024) * 2 ** (exponent - 15) : mantissa * 2 ** -24;
    made[index] = half & 32768 ? -value : value;
  }
  return made;
}

/* C (m, n) = A (m, k) B (n, k)', in tiles of 4 x 2 that stay in registers. */
function product(a, b, c, m, n, k, aStart) {
  for (let i = 0; i < m; i += 4) {
    const a0 = aStart + i * k, a1 = i + 1 < m ? a0 + k : a0, a2 = i + 2 < m ? a0 + 2 * k : a0, a3 = i + 3 < m ? a0 + 3 * k : a0;
    for (let j = 0; j < n; j += 2) {
      const b0 = j * k, b1 = j + 1 < n ? b0 + k : b0;
      let s00 = 0, s01 = 0, s10 = 0, s11 = 0, s20 = 0, s21 = 0, s30 = 0, s31 = 0;
      for (let l = 0; l < k; l++) {
        const x = b[b0 + l], y = b[b1 + l], u = a[a0 + l], v = a[a1 + l], p = a[a2 + l], q = a[a3 + l];
        s00 += u * x; s01 += u * y; s10 += v * x; s11 += v * y;
        s20 += p * x; s21 += p * y; s30 += q * x; s31 += q * y;
      }
      const at = i * n + j, pair = j + 1 < n;
      c[at] = s00; if (pair) c[at + 1] = s01;
      if (i + 1 < m) { c[at + n] = s10; if (pair) c[at + n + 1] = s11; }
      if (i + 2 < m) { c[at + 2 * n] = s20; if (pair) c[at + 2 * n + 1] = s21; }
      if (i + 3 < m) { c[at + 3 * n] = s30; if (pair) c[at + 3 * n + 1] = s31; }
    }
  }
}

/* What a convolution and its adjoint do alike: for each image, and each group of its channels, the weights (m, k) times
   the rows (pixels, k) that `gather` writes; `put` takes what has been made. */
function grouped({ batch, groups, m, k, pixels }, weight, scratch, gather, put) {
  const a = Float64Array.from(weight);
  room(scratch, "rows", pixels * k);
  room(scratch, "product", m * pixels);
  return () => {
    for (let one = 0; one < batch * groups; one++) {
      const group = one % groups;
      gather(scratch.rows, one);
      product(a, scratch.rows, scratch.product, m, pixels, k, group * m * k);
      put(scratch.product, one, group);
    }
  };
}

function room(scratch, name, size) {
  if (scratch[name].length < size) scratch[name] = new Float64Array(size);
}

/* Where the numbers of a view lie, or null where it is all of them in their order. */
function places(shape, strides, offset = 0) {
  const size = shape.reduce((whole, length) => whole * length, 1), made = new Int32Array(size);
  const count = new Array(shape.length).fill(0);
  let place = offset, same = true;
  for (let index = 0; index < size; index++) {
    made[index] = place;
    same = same && place === index;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += strides[axis];
      if (++count[axis] < shape[axis]) break;
      place -= strides[axis] * shape[axis];
      count[axis] = 0;
    }
  }
  return same ? null : made;
}

function erf(x) { // Abramowitz & Stegun 7.1.26, to 1.5e-7
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - tail * Math.exp(-x * x));
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const functions = {
  relu: () => (x) => (x > 0 ? x : 0),
  leaky_relu: (slope) => (x) => (x > 0 ? x : slope * x),
  elu: (alpha, scale, inner) => (x) => scale * (x > 0 ? x : alpha * Math.expm1(inner * x)),
  gelu: () => (x) => (x / 2) * (1 + erf(x * Math.SQRT1_2)),
  gelu_tanh: () => (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
  silu: () => (x) => x * sigmoid(x),
  mish: () => (x) => x * Math.tanh(Math.log1p(Math.exp(x))),
  softplus: (beta, threshold) => (x) => (x * beta > threshold ? x : Math.log1p(Math.exp(x * beta)) / beta),
  clamp: (low, high) => (x) => Math.min(Math.max(x, low ?? -Infinity), high ?? Infinity),
  hardsigmoid: () => (x) => Math.min(Math.max(x / 6 + 0.5, 0), 1),
  hardswish: () => (x) => x * Math.min(Math.max(x / 6 + 0.5, 0), 1),
  power: (by) => (x) => x ** by,
  reciprocal: () => (x) => 1 / x,
  neg: () => (x) => -x,
  sigmoid: () => sigmoid,
  ...Object.fromEntries(["tanh", "exp", "log", "log1p", "expm1", "sqrt", "abs", "sin", "cos"].map((name) => [name, () => Math[name]])),
};

const pairs = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  maximum: (x, y) => Math.max(x, y),
  minimum: (x, y) => Math.min(x, y),
  gt: (x, y) => Number(x > y),
  ge: (x, y) => Number(x >= y),
  lt: (x, y) => Number(x < y),
  le: (x, y) => Number(x <= y),
};

const makers = {
  matmul({ batch, m, k, n, over }, [a, b], y) {
    return () => {
      y.fill(0);
      for (let one = 0; one < batch; one++)
        for (let i = 0; i < m; i++) {
          const row = over[0] * one + i * k, into = (one * m + i) * n;
          for (let l = 0; l < k; l++) {
            const x = a[row + l], from = over[1] * one + l * n;
            if (x !== 0) for (let j = 0; j < n; j++) y[into + j] += x * b[from + j];
          }
        }
    };
  },

  conv({ x: [batch, channels, high, wide], kernel: [kh, kw], shape, stride, padding, dilation, groups }, [x, weight, bias], y, scratch) {
    const [, outputs, rows, columns] = shape, pixels = rows * columns, inner = channels / groups, outer = outputs / groups;
    return grouped({ batch, groups, m: outer, k: inner * kh * kw, pixels }, weight, scratch, gather, put);
    function gather(seen, one) {
      const start = one * inner * high * wide;
      let at = 0;
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++)
          for (let c = 0; c < inner; c++)
            for (let p = 0; p < kh; p++) {
              const row = i * stride[0] - padding[0] + p * dilation[0], inside = row >= 0 && row < high;
              const from = start + (c * high + row) * wide;
              for (let q = 0; q < kw; q++, at++) {
                const column = j * stride[1] - padding[1] + q * dilation[1];
                seen[at] = inside && column >= 0 && column < wide ? x[from + column] : 0;
              }
            }
    }
    function put(made, one, group) {
      for (let o = 0, at = 0, into = one * outer * pixels; o < outer; o++) {
        const more = bias ? bias[group * outer + o] : 0;
        for (let p = 0; p < pixels; p++) y[into++] = made[at++] + more;
      }
    }
  },

  deconv({ x: [batch, channels, high, wide], kernel: [kh, kw], shape, stride, padding, dilation, groups }, [x, weight, bias], y, scratch) {
    const [, outputs, rows, columns] = shape, pixels = high * wide, inner = channels / groups, outer = outputs / groups;
    return grouped({ batch, groups, m: outer * kh * kw, k: inner, pixels }, weight, scratch, gather, put);
    function gather(seen, one) {
      const start = one * inner * pixels;
      for (let c = 0; c < inner; c++) for (let p = 0; p < pixels; p++) seen[p * inner + c] = x[start + c * pixels + p];
    }
    function put(made, one, group) {
      let at = 0;
      for (let o = 0; o < outer; o++) {
        const start = (one * outer + o) * rows * columns;
        y.fill(bias ? bias[group * outer + o] : 0, start, start + rows * columns);
        for (let p = 0; p < kh; p++)
          for (let q = 0; q < kw; q++)
            for (let i = 0; i < high; i++) {
              const row = i * stride[0] - padding[0] + p * dilation[0];
              if (row < 0 || row >= rows) { at += wide; continue; }
              const first = start + row * columns, last = first + columns;
              let to = first - padding[1] + q * dilation[1];
              for (let j = 0; j < wide; j++, at++, to += stride[1]) if (to >= first && to < last) y[to] += made[at];
            }
      }
    }
  },

  norm({ size, inner, eps }, [x, weight, bias], y) {
    return () => {
      for (let start = 0; start < y.length; start += size) {
        let sum = 0, squares = 0;
        for (let i = start; i < start + size; i++) sum += x[i];
        const mean = sum / size;
        for (let i = start; i < start + size; i++) squares += (x[i] - mean) ** 2;
        const scale = 1 / Math.sqrt(squares / size + eps);
        for (let i = start; i < start + size; i++) {
          const of = Math.floor(i / inner) % weight.length;
          y[i] = (x[i] - mean) * scale * weight[of] + bias[of];
        }
      }
    };
  },

  map({ name, given }, [x], y) {
    const f = functions[name](...given);
    if (name === "relu") return () => { for (let i = 0; i < y.length; i++) y[i] = x[i] > 0 ? x[i] : 0; };
    return () => { for (let i = 0; i < y.length; i++) y[i] = f(x[i]); };
  },

  pair({ name, shape, over }, [a, b], y) {
    const f = pairs[name], left = places(shape, over[0]), right = places(shape, over[1]);
    return () => { for (let i = 0; i < y.length; i++) y[i] = f(a[left ? left[i] : i], b[right ? right[i] : i]); };
  },

  where({ shape, over }, [test, a, b], y) {
    const [when, left, right] = over.map((strides) => places(shape, strides));
    return () => { for (let i = 0; i < y.length; i++) y[i] = test[when ? when[i] : i] ? a[left ? left[i] : i] : b[right ? right[i] : i]; };
  },

  strided({ shape, strides, offset }, [x], y) {
    const from = places(shape, strides, offset);
    return () => { for (let i = 0; i < y.length; i++) y[i] = x[from ? from[i] : i]; };
  },

  cat({ lengths }, parts, y) {
    const whole = lengths.reduce((sum, length) => sum + length, 0);
    return () => {
      let offset = 0;
      parts.forEach((x, which) => {
        const length = lengths[which];
        for (let i = 0, at = offset; i < x.length; i += length, at += whole) for (let j = 0; j < length; j++) y[at + j] = x[i + j];
        offset += length;
      });
    };
  },

  pad({ shape, over, offset, x: inner, value }, [x], y) {
    const to = places(inner, over, offset);
    return () => {
      y.fill(value);
      for (let i = 0; i < x.length; i++) y[to ? to[i] : i] = x[i];
    };
  },
};
