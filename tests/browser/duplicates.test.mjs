// In charge of what may be there already, and of following, in a real browser: warned, gone on, merged; told by the bell.
// Invariant: each journey looks at the server again, never only at what the page just drew.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { barriers, caller, overflow, signIn, startBrowser, startServer, visit } from './kit.mjs';

let server, browser, admin;
before(async () => {
  server = await startServer();
  browser = await startBrowser();
  admin = await caller(server.base);
}, { timeout: 180_000 });
after(async () => { await browser?.close(); await server?.stop(); });

const leads = async (phone) => {
  const filter = encodeURIComponent(JSON.stringify({ field: 'phone', op: '=', value: phone }));
  return (await admin.get(`/records/sales.lead?filter=${filter}&sort=created_at`)).data;
};

test('a lead that may be known is shown while one types, and saved or merged as one says', { timeout: 90_000 }, async () => {
  const phone = '+8613911112222';
  const known = (await admin.post('/records/sales.lead', { name: 'Wei Known', phone })).id;
  const { page, end } = await visit(browser, server.base);
  await signIn(page);

  await page.goto('/r/sales.lead/new');
  await page.fill('[name="name"]', 'Wei Again');
  await page.fill('[name="phone"]', phone);
  const box = page.locator('[data-alike]');
  await box.getByRole('link', { name: 'Wei Known' }).waitFor();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.locator('[data-alike][role=alert]').waitFor();
  assert.equal(await box.getByRole('link', { name: 'Wei Known' }).getAttribute('href'), `/r/sales.lead/${known}`);
  assert.equal(await page.inputValue('[name="name"]'), 'Wei Again', 'what was entered stays');
  assert.equal((await leads(phone)).length, 1);
  assert.deepEqual(await barriers(page), []);
  await page.setViewportSize({ width: 390, height: 780 });
  assert.ok(await overflow(page) <= 0);
  await page.getByRole('button', { name: 'It is another one: save' }).click();
  await page.waitForURL(/\/r\/sales\.lead\/[0-9a-f-]{36}/);
  assert.deepEqual((await leads(phone)).map((lead) => lead.name), ['Wei Known', 'Wei Again']);

  await page.goto('/r/sales.lead/new');
  await page.fill('[name="name"]', 'Wei Once More');
  await page.fill('[name="phone"]', phone);
  await page.fill('[name="company"]', 'Known Ltd');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('button', { name: 'Merge into Wei Known' }).click();
  await page.waitForURL(`**/r/sales.lead/${known}`);
  const merged = (await leads(phone)).find((lead) => lead.id === known);
  assert.equal((await leads(phone)).length, 2);
  assert.deepEqual([merged.name, merged.company], ['Wei Known', 'Known Ltd']);
  await end();
});

test('who follows a record hears of it', { timeout: 90_000 }, async () => {
  const lead = (await admin.post('/records/sales.lead', { name: 'Followed', phone: '+8613933334444' })).id;
  await admin.post('/admin/users', { email: 'follower@demo.local', name: 'Fo Llower', roles: ['core.admin'], password: 'trellis-demo' });
  const { page, end } = await visit(browser, server.base);
  await signIn(page, 'follower@demo.local');
  await page.goto(`/r/sales.lead/${lead}`);
  const follow = page.getByRole('button', { name: 'Follow', exact: true });
  assert.equal(await follow.getAttribute('aria-pressed'), 'false');
  await follow.click();
  await page.getByRole('button', { name: 'Following' }).waitFor();
  await admin.patch(`/records/sales.lead/${lead}`, { company: 'Heard Ltd' });
  await page.waitForFunction(() => document.querySelector('[data-bell] [data-unread]').textContent === '1');
  await page.goto('/notices');
  await page.getByRole('link', { name: 'Followed' }).click();
  await page.waitForURL(`**/r/sales.lead/${lead}`);
  await page.getByRole('button', { name: 'Following' }).click();
  await page.getByRole('button', { name: 'Follow', exact: true }).waitFor();
  await end();
});
