// In charge of what all journeys share: the real program with the demonstration, and a real browser.
// Invariant: every page is watched for faults of its scripts and of the content security policy; one is enough to fail.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const axe = readFileSync(join(here, 'node_modules/axe-core/axe.min.js'), 'utf8');

/** A port that is free now. */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Starts the program with the demonstration; waits until it is ready. */
export async function startServer() {
  if (process.env.TRELLIS_URL) return { base: process.env.TRELLIS_URL, stop: async () => {} };
  const binary = process.env.TRELLIS_BINARY ?? join(here, '../../target/debug/trellis');
  const data = mkdtempSync(join(tmpdir(), 'trellis-pages-'));
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const child = spawn(binary, ['serve', '--demo', '--data', data, '--listen', `127.0.0.1:${port}`], { cwd: join(here, '../..'), stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => { said += piece; });
  const ended = new Promise((resolve) => { child.once('exit', resolve); });
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(timer);
    rmSync(data, { recursive: true, force: true });
  };
  /** Runs a command of the program on the same workspace. */
  const run = (...args) => promisify(execFile)(binary, [...args, '--data', data], { cwd: join(here, '../..') });
  for (let tries = 0; tries < 600; tries += 1) {
    if (child.exitCode !== null) break;
    const ready = await fetch(`${base}/readyz`).then((answer) => answer.ok, () => false);
    if (ready && said.includes(base)) return { base, stop, run };
    await new Promise((resolve) => { setTimeout(resolve, 200); });
  }
  await stop();
  throw new Error(`the server does not start: ${said}`);
}

/** Starts a browser. */
export async function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** A person at a fresh browser window. */
export async function visit(browser, base, options = {}) {
  const context = await browser.newContext({ baseURL: base, viewport: { width: 1360, height: 820 }, locale: 'en-US', reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const faults = [];
  page.on('pageerror', (error) => faults.push(`script: ${error.message}`));
  // Answers that a journey provokes are told by the browser as errors of loading: they are looked at where they matter.
  page.on('console', (message) => { if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(`console: ${message.text()}`); });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => { console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`); });
  });
  return {
    page,
    async end() {
      await context.close();
      assert.deepEqual(faults, []);
    },
  };
}

/** Signs in through the page. */
export async function signIn(page, email = 'admin@demo.local', password = 'trellis-demo') {
  await page.goto('/login');
  await page.fill('#email', email);
  await page.fill('#password', password);
  await Promise.all([page.waitForURL((url) => url.pathname !== '/login'), page.click('button[type=submit]')]);
}

/** Somebody who speaks to the API with a token of their own, to prepare what a journey needs. */
export async function caller(base, email = 'admin@demo.local', password = 'trellis-demo') {
  const send = async (method, path, body, token) => {
    const headers = { 'Content-Type': 'application/json', ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch(`${base}/api/v1${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  };
  const { token } = await send('POST', '/auth/login', { email, password });
  return {
    get: (path) => send('GET', path, undefined, token),
    post: (path, body) => send('POST', path, body, token),
    patch: (path, body) => send('PATCH', path, body, token),
  };
}

/** What hinders people, by the rules of WCAG 2.2 A and AA. */
export async function barriers(page) {
  // The policy of the page keeps scripts of others out; the debugger may bring one in.
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: axe });
  const { result } = await session.send('Runtime.evaluate', {
    expression: `axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']}).then((found) => found.violations.map((one) => one.id + ': ' + one.nodes.map((node) => node.target.join(' ')).slice(0, 3).join(', ')))`,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  return result.value;
}

/** By how many pixels the page is wider than its window. */
export function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
}

/** Chooses a record in a picker as people do: types, waits for what is offered, takes the first. */
export async function pick(page, selector, words) {
  await page.click(selector);
  await page.fill(selector, words);
  const box = page.locator('[data-picker]', { has: page.locator(selector) });
  await box.locator('[role=option]:not([aria-disabled])', { hasText: new RegExp(words, 'i') }).first().waitFor();
  await page.keyboard.press('Enter');
  await box.locator('[role=listbox]').waitFor({ state: 'hidden' });
  return page.inputValue(selector);
}

/** Ends a session by the menu of the person. */
export async function signOut(page) {
  await page.click('.person > summary');
  await page.click('form[action="/logout"] button');
  await page.waitForURL(/login/);
}
