import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

const readme = fs.readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const examples = [...readme.matchAll(/```js\n([^]*?)```\n\n```text\n([^]*?)```/g)];

test('the examples of the README print what it says', (t) => {
  assert.equal(examples.length, 2);
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'unstick-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  for (const [, code, output] of examples) {
    const here = code.replaceAll("from './", `from '${new URL('..', import.meta.url)}`);
    fs.writeFileSync(path.join(dir, 'example.mjs'), here);
    assert.equal(execFileSync(process.execPath, ['example.mjs'], { cwd: dir, encoding: 'utf8' }), output);
  }
});

test('the package brings what its exports name, and depends on nothing', async () => {
  const root = new URL('../', import.meta.url);
  const { exports, dependencies } = JSON.parse(fs.readFileSync(new URL('package.json', root), 'utf8'));
  assert.equal(dependencies, undefined);
  for (const entry of Object.values(exports)) {
    const types = fs.readFileSync(new URL(entry.types, root), 'utf8');
    // Every value that a module exports is declared, and every declared one exists.
    const declared = [...types.matchAll(/^export (?:const|function|class) (\w+)/gm)].map(([, name]) => name);
    assert.deepEqual(new Set(Object.keys(await import(new URL(entry.default, root)))), new Set(declared), entry.types);
  }
});

test('what is for browsers imports nothing of Node', () => {
  for (const name of ['unstick.js', 'stream.js', 'messages.js', 'session.js']) {
    const source = fs.readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
    const imported = [...source.matchAll(/from '([^']*)'/g)].map(([, from]) => from);
    assert.ok(
      imported.every((from) => /^\.\/(unstick|messages)\.js$/.test(from)),
      `${name}: ${imported}`,
    );
    assert.doesNotMatch(source, /\b(Buffer|process|require|setImmediate)\b/, name);
  }
});
