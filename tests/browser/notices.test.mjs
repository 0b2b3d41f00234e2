// In charge of the bell: its count follows while one looks at something else; opening a notice leads to what it is about.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { barriers, overflow, signIn, startBrowser, startServer, visit } from './kit.mjs';

let server, browser;
before(async () => { server = await startServer(); browser = await startBrowser(); }, { timeout: 180_000 });
after(async () => { await browser?.close(); await server?.stop(); });

test('the count at the bell follows, and a notice leads to its record', async () => {
  const { page, end } = await visit(browser, server.base);
  await signIn(page);
  const bell = page.locator('[data-bell]');
  await bell.locator('[data-unread]').waitFor({ state: 'hidden' });
  const product = await page.evaluate(async () => {
    const headers = { 'Content-Type': 'application/json', 'X-CSRF-Token': document.querySelector('meta[name="csrf-token"]').content };
    const me = await fetch('/api/v1/me').then((answer) => answer.json());
    const [one] = (await fetch('/api/v1/records/sales.product?limit=1').then((answer) => answer.json())).data;
    for (const subject of ['Look at this', 'And at this']) {
      const body = JSON.stringify({ owner: me.id, kind: 'test', subject, text: 'It matters', about: { entity: 'sales.product', id: one.id } });
      const answer = await fetch('/api/v1/records/core.notification', { method: 'POST', headers, body });
      if (!answer.ok) throw new Error(await answer.text());
    }
    return one;
  });
  await page.waitForFunction(() => document.querySelector('[data-bell] [data-unread]').textContent === '2');
  assert.equal(await bell.getAttribute('aria-label'), 'Notices: 2 unread');
  await bell.click();
  await page.waitForURL('**/notices');
  assert.deepEqual(await barriers(page), []);
  await page.getByRole('link', { name: 'And at this' }).click();
  await page.waitForURL(`**/r/sales.product/${product.id}`);
  await page.waitForFunction(() => document.querySelector('[data-bell] [data-unread]').textContent === '1');
  await page.goto('/notices');
  await page.getByRole('button', { name: 'Mark all as read' }).click();
  await bell.locator('[data-unread]').waitFor({ state: 'hidden' });
  await page.setViewportSize({ width: 390, height: 780 });
  assert.ok(await overflow(page) <= 0);
  await end();
});
