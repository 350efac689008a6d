// The module's functions for JavaScript: `const cygnet = await load("cygnet_wasm_testing.wasm")`.
import { readFile } from "node:fs/promises";

/** What wasm-bindgen leaves for its own tool to fill in, which a dependency brings along. Nothing of it is called. */
const LEFT_BY_BINDGEN = /^__wbindgen_/;

/** Loads the module at a path. It has no imports of its own. */
export async function load(path) {
  const module = await WebAssembly.compile(await readFile(path));
  const imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    if (!LEFT_BY_BINDGEN.test(from)) throw new Error(`${path} imports ${from}.${name}`);
    imports[from] = { ...imports[from], [name]: () => { throw new Error(`${name} was called`); } };
  }
  const { exports } = await WebAssembly.instantiate(module, imports);
  const text = () =>
    new TextDecoder().decode(new Uint8Array(exports.memory.buffer, exports.answer(), exports.length()));
  const ask = (name, ...given) => {
    try {
      exports[name](...given);
    } catch (trap) {
      throw new Error(`${trap.message}: ${text()}`);
    }
    const answer = JSON.parse(text());
    if (answer?.error) throw new Error(answer.error);
    return answer;
  };
  const put = (bytes) => {
    const start = exports.room(bytes.length);
    new Uint8Array(exports.memory.buffer, start, bytes.length).set(bytes);
    return [start, bytes.length];
  };
  return {
    /** The name of the instruction set that networks run with. */
    isa: () => ask("isa"),
    /** How a golden file's bytes come out. */
    verify: (golden, strict) => ask("verify", ...put(golden), strict),
    /** Makes a model of its file's bytes ready for photos; the name of its network. */
    open: (model) => ask("open", ...put(model)),
    /** The likeliest classes of a photo's bytes. */
    classify: (photo) => ask("classify", ...put(photo)),
    /** Makes a network with made weights ready to be run. */
    prepare: (name) => ask("prepare", ...put(new TextEncoder().encode(name))),
    /** Runs it; the first number of its output. */
    run: exports.run,
  };
}
