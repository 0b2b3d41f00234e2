// In charge of the way of a person through the demonstration: sign in, read a list, open a record, on a desk and a phone.
// Invariant: the server is this file's own, on loopback, with its own data folder, and ends with it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const limit = 120_000;
let folder, server, browser, base, output = '';

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

// The server says where it listens once it answers; until then a request is refused at once.
async function answers() {
  const until = Date.now() + limit;
  for (;;) {
    try {
      if ((await fetch(`${base}/login`)).ok) return;
    } catch {
      // Not yet there.
    }
    if (server.exitCode !== null || Date.now() > until) throw new Error(`the server does not answer:\n${output}`);
    await new Promise((go) => setTimeout(go, 100));
  }
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trellis-journey-'));
  const listen = `127.0.0.1:${await freePort()}`;
  base = `http://${listen}`;
  server = spawn(process.env.TRELLIS_BINARY, ['serve', '--demo', '--data', folder, '--listen', listen]);
  for (const stream of [server.stdout, server.stderr]) stream.on('data', (text) => { output += text; });
  await answers();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}, { timeout: limit });

after(async () => {
  await browser?.close();
  if (server && server.exitCode === null) {
    server.kill('SIGTERM');
    await once(server, 'exit');
  }
  await rm(folder, { recursive: true, force: true });
});

async function signedIn(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') faults.push(message.text()); });
  await page.goto(base);
  // The keyboard alone: the address gets the focus when the page opens, without a click.
  await page.waitForFunction(() => document.activeElement?.id === 'email');
  await page.keyboard.type('admin@demo.local');
  await page.keyboard.press('Tab');
  await page.keyboard.type('trellis-demo');
  await page.keyboard.press('Enter');
  await page.waitForSelector('nav.side', { state: 'attached' });
  return { page, faults };
}

test('a wrong password is told and the address is kept', { timeout: limit }, async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(base);
  await page.fill('#email', 'admin@demo.local');
  await page.fill('#password', 'not the word');
  await page.click('button[type=submit]');
  await page.waitForSelector('[role=alert]');
  assert.equal(await page.inputValue('#email'), 'admin@demo.local');
});

test('a list opens a record at the desk', { timeout: limit }, async () => {
  const { page, faults } = await signedIn({ viewport: { width: 1280, height: 800 } });
  await page.goto(`${base}/a/sales/view/deals`);
  assert.ok((await page.locator('tbody tr').count()) > 10);
  const link = page.locator('tbody a').first();
  const title = (await link.textContent()).trim();
  await link.click();
  await page.waitForSelector('h1');
  assert.match(page.url(), /\/r\/sales\.deal\//);
  assert.ok((await page.textContent('main')).includes(title));
  assert.deepEqual(faults, []);
});

test('a phone shows the board in Chinese, as wide as the phone', { timeout: limit }, async () => {
  const { page, faults } = await signedIn({ viewport: { width: 390, height: 844 }, locale: 'zh-CN' });
  await page.goto(`${base}/a/sales/view/deals_board?locale=zh-CN`);
  assert.equal(await page.getAttribute('html', 'lang'), 'zh-CN');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
  assert.deepEqual(faults, []);
});
