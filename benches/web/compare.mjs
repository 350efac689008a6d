// Times a network in Node, on one thread, against onnxruntime-web's module for WebAssembly:
//   node compare.mjs MODULE NETWORK MODEL.onnx
// MODULE is that of crates/cygnet-wasm-testing; the file has the network in ONNX, with any weights. Rounds of both follow each
// other in turn, so that what else the machine does falls on both, and the ratio is the median of the rounds' ratios.
import { cpus } from "node:os";
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";
import { load } from "../../crates/cygnet-wasm-testing/module.mjs";

/** Rounds that count, after one that does not, and the time that one takes. */
const ROUNDS = 21;
const ROUND_MS = 400;

const [path, network, model] = process.argv.slice(2);
const cygnet = await load(path);
cygnet.prepare(network);
const engines = {
  [`cygnet (${cygnet.isa()})`]: () => cygnet.run(),
  [`onnxruntime-web ${ort.env.versions.web}`]: await peer(await readFile(model)),
};

/** A function that runs a model of onnxruntime-web once. */
async function peer(bytes) {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const [input] = session.inputMetadata;
  const shape = input.shape.map((size) => (typeof size === "number" ? size : 1));
  const numbers = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => ((i * 7919) % 1000) / 500 - 1);
  const feeds = { [input.name]: new ort.Tensor("float32", numbers, shape) };
  return () => session.run(feeds);
}

/** The median of numbers. */
const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];

/** The shortest time of a run in a round, in milliseconds. */
async function round(run) {
  let shortest = Infinity;
  const end = performance.now() + ROUND_MS;
  for (let now = performance.now(); now < end; ) {
    await run();
    const then = performance.now();
    shortest = Math.min(shortest, then - now);
    now = then;
  }
  return shortest;
}

const times = Object.fromEntries(Object.keys(engines).map((name) => [name, []]));
for (let i = 0; i <= ROUNDS; i += 1) {
  for (const [name, run] of Object.entries(engines)) {
    const time = await round(run);
    if (i > 0) times[name].push(time);
  }
}
console.log(`${network}, one thread, Node ${process.version}, ${cpus()[0].model}`);
for (const [name, list] of Object.entries(times)) console.log(`${name}: ${median(list).toFixed(2)} ms`);
const [ours, theirs] = Object.values(times);
console.log(`ratio: ${median(ours.map((time, i) => theirs[i] / time)).toFixed(2)}`);
