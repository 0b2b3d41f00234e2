// In charge of engine/render/assets/vendor: copies pinned packages there, makes the icon sprite, writes MANIFEST.toml and NOTICE.
// Invariant: the same versions give the same bytes; a Rust test compares the hashes of MANIFEST.toml with the files.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '../../engine/render/assets/vendor');
const modules = join(here, 'node_modules');
const lock = JSON.parse(readFileSync(join(here, 'package-lock.json'), 'utf8'));

const iconNames = readFileSync(join(here, 'icons.txt'), 'utf8').split('\n').filter(Boolean).sort();

/** One symbol of the sprite: the drawing of an icon without the invisible frame. */
function symbol(name) {
  const filled = name.endsWith('-filled');
  const file = filled ? `filled/${name.slice(0, -'-filled'.length)}.svg` : `outline/${name}.svg`;
  const svg = readFileSync(join(modules, '@tabler/icons/icons', file), 'utf8');
  const drawing = svg
    .replace(/^[\s\S]*?<svg[\s\S]*?>/, '')
    .replace(/<\/svg>\s*$/, '')
    .replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none" \/>/, '')
    .replace(/\s*\n\s*/g, '')
    .trim();
  const paint = filled ? ' fill="currentColor" stroke="none"' : '';
  return `<symbol id="${name}" viewBox="0 0 24 24"${paint}>${drawing}</symbol>`;
}

const parts = [
  {
    name: 'htmx.org', licence: '0BSD', folder: 'htmx', why: 'partial updates, morphing',
    files: { 'htmx.esm.min.js': () => readFileSync(join(modules, 'htmx.org/dist/htmx.esm.min.js')) },
    licenceText: 'htmx.org/LICENSE',
  },
  {
    name: 'sortablejs', licence: 'MIT', folder: 'sortablejs', why: 'drag and drop',
    files: { 'sortable.min.js': () => readFileSync(join(modules, 'sortablejs/Sortable.min.js')) },
    licenceText: 'sortablejs/LICENSE',
  },
  {
    name: '@tabler/icons', licence: 'MIT', folder: 'icons', why: 'one sprite of the icons in tests/vendor/icons.txt',
    files: { 'sprite.svg': () => Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg">\n${iconNames.map(symbol).join('\n')}\n</svg>\n`) },
    licenceText: '@tabler/icons/LICENSE',
  },
];

const manifest = ['# What is vendored. Written by tests/vendor/vendor.mjs; never edit the files by hand.', ''];
const notice = ['The program contains these works, each under its own licence.', ''];
for (const part of parts) {
  const version = JSON.parse(readFileSync(join(modules, part.name, 'package.json'), 'utf8')).version;
  const folder = join(out, part.folder);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  manifest.push('[[package]]', `name = "${part.name}"`, `version = "${version}"`, `licence = "${part.licence}"`, `why = "${part.why}"`,
    `integrity = "${lock.packages[`node_modules/${part.name}`].integrity}"`, '', '[package.sha256]');
  for (const [file, make] of Object.entries(part.files)) {
    let bytes = make();
    if (file.endsWith('.js')) bytes = Buffer.from(bytes.toString('utf8').replace(/\n?\/\/# sourceMappingURL=.*\n?$/, '\n'));
    writeFileSync(join(folder, file), bytes);
    manifest.push(`"${part.folder}/${file}" = "${createHash('sha256').update(bytes).digest('hex')}"`);
  }
  manifest.push('');
  notice.push('='.repeat(80), `${part.name} ${version} (${part.licence})`, '', readFileSync(join(modules, part.licenceText), 'utf8').trim(), '');
}
writeFileSync(join(out, 'MANIFEST.toml'), manifest.join('\n'));
writeFileSync(join(out, 'NOTICE'), notice.join('\n'));
console.log(`vendored ${parts.map((part) => part.name).join(', ')}; ${iconNames.length} icons`);
