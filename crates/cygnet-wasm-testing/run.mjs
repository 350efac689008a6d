// Tests the module in Node:
//   node run.mjs MODULE goldens FOLDER         every golden file of a folder, with kernels that trade rounding and without
//   node run.mjs MODULE photos MODEL ANSWERS   photos by a model file, against what `cygnet classify --json` answered
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { load } from "./module.mjs";

/** How far a probability may be from that of other instructions. */
const CLOSE = 1e-4;

const tests = {
  async goldens(cygnet, folder) {
    const files = (await readdir(folder)).filter((name) => name.endsWith(".json"));
    let failed = files.length === 0 ? 1 : 0;
    for (const name of files) {
      const golden = await readFile(join(folder, name));
      for (const strict of [true, false]) {
        const outcome = cygnet.verify(golden, strict);
        if (!outcome.pass) {
          failed += 1;
          console.log(`${name}${strict ? ", strict" : ""}: ${JSON.stringify(outcome)}`);
        }
      }
    }
    return [`${files.length} golden files`, failed];
  },
  async photos(cygnet, model, answers) {
    const network = cygnet.open(await readFile(model));
    const wanted = (await readFile(answers, "utf8")).trim().split("\n").map((line) => JSON.parse(line));
    let failed = 0;
    for (const { path, top } of wanted) {
      const { top: found } = cygnet.classify(await readFile(path));
      const isSame = (guess, i) =>
        guess.label === found[i]?.label && Math.abs(guess.probability - found[i].probability) <= CLOSE;
      if (found.length !== top.length || !top.every(isSame)) {
        failed += 1;
        console.log(`${path}: ${JSON.stringify(found)}, not ${JSON.stringify(top)}`);
      }
    }
    return [`${wanted.length} photos by ${network}`, failed];
  },
};

const [path, test, ...rest] = process.argv.slice(2);
const cygnet = await load(path);
const start = performance.now();
const [what, failed] = await tests[test](cygnet, ...rest);
const seconds = ((performance.now() - start) / 1000).toFixed(1);
console.log(`${cygnet.isa()}: ${what}, ${failed} failed (${seconds} s)`);
process.exitCode = failed > 0 ? 1 : 0;
