// In charge of a visitor's way through a public form: on a phone, by keyboard, without scripts, with mistakes.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { barriers, overflow, signIn, startBrowser, startServer, visit } from './kit.mjs';

let server, browser;
before(async () => { server = await startServer(); browser = await startBrowser(); }, { timeout: 180_000 });
after(async () => { await browser?.close(); await server?.stop(); });

const form = '/f/contact_us?utm_campaign=spring_launch';
const phone = { viewport: { width: 390, height: 780 }, javaScriptEnabled: false };

/** Waits as long as a person needs at least: what comes at once is asked for again. */
const read = () => new Promise((go) => { setTimeout(go, 2_100); });

test('a visitor on a phone, without scripts, sends the form once', async () => {
  const { page, end } = await visit(browser, server.base, phone);
  const answer = await page.goto(form);
  assert.equal(answer.status(), 200);
  assert.equal(await page.title(), 'Talk to us');
  assert.ok(await overflow(page) <= 0, 'nothing is wider than the phone');
  await read();
  await page.getByLabel('Your name').fill('Wei Zhang');
  await page.getByLabel('E-mail').fill('nonsense');
  await page.getByLabel('Region').selectOption('east');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByRole('alert').waitFor();
  assert.equal(await page.getByLabel('Your name').inputValue(), 'Wei Zhang');
  assert.equal(await page.getByLabel('Region').inputValue(), 'east');
  assert.equal(await page.locator('#f-email').getAttribute('aria-invalid'), 'true');
  assert.equal(await page.locator('#f-phone').getAttribute('aria-invalid'), 'true');
  assert.ok(await overflow(page) <= 0, 'nor with its faults');
  await read();
  await page.getByLabel('Phone').fill('+86 138 0013 8000');
  await page.getByLabel('E-mail').fill('wei@example.com');
  await page.keyboard.press('Enter');
  await page.getByRole('status').waitFor();
  assert.match(await page.getByRole('status').innerText(), /call you back/);
  assert.match(page.url(), /\/f\/sales\.contact_us\/thanks/);
  await end();
});

test('the lead is there with its source, its campaign and its owner', async () => {
  const { page, end } = await visit(browser, server.base);
  await signIn(page);
  const filter = encodeURIComponent(JSON.stringify({ field: 'phone', op: '=', value: '+8613800138000' }));
  let lead;
  for (let tries = 0; tries < 50 && !lead?.owner; tries += 1) {
    const found = await page.evaluate((url) => fetch(url).then((got) => got.json()), `/api/v1/records/sales.lead?filter=${filter}`);
    assert.equal(found.data.length, 1);
    [lead] = found.data;
    await page.waitForTimeout(100);
  }
  assert.equal(lead.source, 'web');
  assert.equal(lead.campaign, 'spring_launch');
  assert.ok(lead.owner, 'somebody of the region has it');
  await end();
});

test('nothing on the form hinders anybody, in any language', async () => {
  for (const locale of ['en', 'zh-CN', 'zh-TW']) {
    const { page, end } = await visit(browser, server.base, { viewport: { width: 390, height: 780 } });
    await page.goto(`${form}&locale=${locale}`);
    assert.deepEqual(await barriers(page), []);
    await page.getByRole('button').click();
    await page.getByRole('alert').waitFor();
    assert.deepEqual(await barriers(page), []);
    await end();
  }
});

test('who cannot see the trap does not come upon it by keyboard', async () => {
  const { page, end } = await visit(browser, server.base);
  await page.goto(form);
  const stops = [];
  for (let step = 0; step < 9; step += 1) {
    await page.keyboard.press('Tab');
    stops.push(await page.evaluate(() => document.activeElement?.getAttribute('name') ?? document.activeElement?.tagName));
  }
  assert.deepEqual(stops.slice(0, 8), ['name', 'company', 'phone', 'email', 'region', 'sector', 'message', 'BUTTON']);
  await end();
});
