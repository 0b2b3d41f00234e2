// In charge of deeds over many records as people do them: change, delete, merge, export, import, each with its way back.
// Invariant: each journey looks at the server again (the API), never only at what the page just drew.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { barriers, caller, overflow, pick, signIn, startBrowser, startServer, visit } from './kit.mjs';

const MANAGER = 'dustin.brinkmann@demo.local';
let server;
let browser;
let admin;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
  admin = await caller(server.base);
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await server?.stop();
});

function journey(name, walk, { email = 'admin@demo.local', options } = {}) {
  test(name, { timeout: 120_000 }, async () => {
    const person = await visit(browser, server.base, options);
    try {
      await signIn(person.page, email);
      await walk(person.page);
    } finally {
      await person.end();
    }
  });
}

/** Accounts of a name of their own, by the API. */
async function accounts(...names) {
  const made = [];
  for (const name of names) made.push((await admin.post('/records/sales.account', { name, sector: 'medical' })).id);
  return made;
}

const account = (id) => admin.get(`/records/sales.account/${id}`);

/** Waits until a job is done: its page loads itself again until then. */
const done = (page) => page.locator('h1 + .tag.green').waitFor();

journey('what is ticked is changed at once, and taken back as one', async (page) => {
  const ids = await accounts('Bulk One', 'Bulk Two', 'Bulk Three');
  await page.goto('/r/sales.account?q=Bulk&sort=name');
  assert.equal(await page.locator('.many').isVisible(), false, 'nothing is offered before something is ticked');
  await page.check(`[name="id:${ids[0]}"]`);
  await page.check(`[name="id:${ids[1]}"]`);
  assert.match(await page.locator('.many').innerText(), /\(2\)/);
  await page.locator('.many').getByRole('button', { name: 'Change' }).click();
  await page.getByText('2 ticked').waitFor();
  assert.deepEqual(await barriers(page), []);
  await page.locator('.record-form button[type=submit]').click();
  await page.locator('[role=alert]').waitFor();
  await page.selectOption('#f-sector', 'retail');
  await page.locator('.record-form button[type=submit]').click();
  await done(page);
  assert.match(await page.locator('.counts').innerText(), /Changed\s*2/);
  assert.deepEqual(await Promise.all(ids.map(async (id) => (await account(id)).sector)), ['retail', 'retail', 'medical']);
  await page.getByRole('button', { name: 'Undo' }).click();
  await page.getByRole('heading', { name: 'Taking back' }).waitFor();
  await done(page);
  assert.equal((await account(ids[0])).sector, 'medical');
});

journey('all that a list finds is deleted after one was ticked, beyond the page', async (page) => {
  const ids = await accounts('Gone A', 'Gone B', 'Gone C');
  await page.goto('/r/sales.account?f.name~contains=Gone');
  await page.locator('[data-tick]').first().check();
  await page.locator('.many').getByRole('button', { name: 'Delete' }).click();
  await page.getByLabel('All 3 that the list finds').check();
  await page.locator('.record-form button[type=submit]').click();
  await done(page);
  await page.getByRole('link', { name: 'Back' }).click();
  await page.waitForURL(/\/r\/sales\.account/);
  for (const id of ids) assert.notEqual((await account(id)).deleted_at, null);
});

journey('two that are one become one, with the best of both', async (page) => {
  const [keeps, goes] = await accounts('Twin Ltd', 'Twin Limited');
  await admin.patch(`/records/sales.account/${goes}`, { employees: 77, version: (await account(goes)).version });
  await admin.post('/records/sales.contact', { name: 'Tina Twin', account: goes });
  await page.goto('/r/sales.account?q=Twin');
  await page.check(`[name="id:${keeps}"]`);
  await page.check(`[name="id:${goes}"]`);
  await page.locator('.many').getByRole('button', { name: 'Merge' }).click();
  await page.check(`[name=stays][value="${keeps}"]`);
  await page.check(`[name="keep:name"][value="${goes}"]`);
  assert.deepEqual(await barriers(page), []);
  await page.getByRole('button', { name: 'Merge' }).click();
  await page.locator('.toast', { hasText: 'Merged' }).waitFor();
  const one = await account(keeps);
  assert.deepEqual([one.name, one.employees], ['Twin Limited', 77]);
  await page.locator('.related', { hasText: 'Tina Twin' }).waitFor();
  await page.locator('.toast button').click();
  await page.getByRole('heading', { name: 'Taking back' }).waitFor();
  await done(page);
  assert.equal((await account(keeps)).name, 'Twin Ltd');
});

journey('a list is written as a sheet, as it is shown', async (page) => {
  await accounts('Sheet One', 'Sheet Two');
  await page.goto('/r/sales.account?f.name~contains=Sheet&sort=-name');
  await page.locator('.head summary').click();
  await page.getByRole('button', { name: 'Export to CSV' }).click();
  await done(page);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).click()]);
  const lines = readFileSync(await download.path(), 'utf8').replace(/^\uFEFF/, '').trim().split('\r\n').join('\n').split('\n');
  assert.equal(lines.length, 3, lines.join('|'));
  assert.match(lines[0], /^Name,/);
  assert.match(lines[1], /^Sheet Two,/);
});

journey('a sheet is tried first, its faults are told, and then it becomes records', async (page) => {
  await page.goto('/r/sales.account');
  await page.locator('.head summary').click();
  await page.getByRole('link', { name: 'Import a sheet' }).click();
  assert.deepEqual(await barriers(page), []);
  const sheet = (text) => ({ name: 'accounts.csv', mimeType: 'text/csv', buffer: Buffer.from(text) });
  await page.setInputFiles('#file', sheet('Name,Colour of the door\nDoor Ltd,green\n'));
  await page.locator('.record-form button[type=submit]').click();
  await page.locator('[role=alert]', { hasText: 'Colour of the door' }).waitFor();
  await page.setInputFiles('#file', sheet('Name,Employees\nImported Ltd,12\nBroken Ltd,many\n'));
  await page.locator('.record-form button[type=submit]').click();
  await done(page);
  const counts = await page.locator('.counts').innerText();
  assert.match(counts, /Created\s*1/);
  assert.match(counts, /Failed\s*1/);
  assert.equal((await admin.get('/records/sales.account?q=Imported')).data.length, 0, 'nothing is kept of a trial');
  await page.getByRole('button', { name: 'Import now' }).click();
  await page.getByRole('heading', { name: 'Import', exact: true }).waitFor();
  await done(page);
  const [made] = (await admin.get('/records/sales.account?q=Imported')).data;
  assert.equal(made.employees, 12);
  await page.getByRole('button', { name: 'Undo' }).click();
  await page.getByRole('heading', { name: 'Taking back' }).waitFor();
  await done(page);
  assert.equal((await admin.get('/records/sales.account?q=Imported')).data.length, 0);
});

journey('who may not is offered nothing', async (page) => {
  await page.goto('/r/sales.product');
  assert.equal(await page.locator('[data-tick]').count(), 0);
  const form = { _csrf: await page.getAttribute('meta[name=csrf-token]', 'content') };
  for (const path of ['/r/core.user/merge', '/r/core.user/many/delete']) {
    assert.equal((await page.request.post(path, { form, headers: { Origin: server.base } })).status(), 404, path);
  }
  assert.equal((await page.request.get('/r/sales.product/import')).status(), 403);
}, { email: 'anna.snelling@demo.local' });

journey('a phone changes what is ticked as well', async (page) => {
  await page.goto('/r/sales.contact');
  await page.locator('[data-tick]').first().check();
  assert.ok((await overflow(page)) <= 0);
  await page.locator('.many').getByRole('button', { name: 'Change' }).click();
  await pick(page, '#f-owner', 'anna');
  await page.locator('.record-form button[type=submit]').click();
  await done(page);
  assert.match(await page.locator('.counts').innerText(), /Changed\s*1/);
}, { email: MANAGER, options: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true } });
