// Prints the report of Khronos' glTF validator on one file, every severity, as JSON.
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import validator from "gltf-validator";

const [path] = process.argv.slice(2);
const report = await validator.validateBytes(new Uint8Array(await readFile(path)), {
  uri: path,
  maxIssues: 0,
  externalResourceFunction: async (uri) => new Uint8Array(await readFile(resolve(dirname(path), decodeURIComponent(uri)))),
});
console.log(JSON.stringify(report));
