// Runs a Python program in Pyodide, with some folders of this machine to import from.
//
//     node pyodide_run.mjs PYODIDE_FOLDER PACKAGE_FOLDER... < program.py
//
// Pyodide and everything that it loads come from PYODIDE_FOLDER; nothing is fetched from anywhere.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [pyodideFolder, ...packageFolders] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(path.join(pyodideFolder, "pyodide.mjs")));

const python = await loadPyodide({ indexURL: pyodideFolder });
for (const folder of packageFolders) python.mountNodeFS(`/course/${path.basename(folder)}`, folder);
python.runPython("import sys; sys.path.insert(0, '/course'); sys.dont_write_bytecode = True");
try {
  python.runPython(fs.readFileSync(0, "utf8"));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
