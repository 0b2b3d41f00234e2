// In charge of a day without a mouse: sign in, find a lead, make a customer of it, write a note, approve; and of the keys themselves.
// Invariant: nothing here is clicked or focused by the test: only keys are pressed, and what has the focus shows it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { barriers, caller, startBrowser, startServer, visit } from './kit.mjs';

const REP = 'anna.snelling@demo.local';
const MANAGER = 'dustin.brinkmann@demo.local';
let server;
let browser;
let rep;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
  rep = await caller(server.base, REP);
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await server?.stop();
});

function journey(name, walk) {
  test(name, { timeout: 120_000 }, async () => {
    const person = await visit(browser, server.base);
    try {
      await walk(person.page);
    } finally {
      await person.end();
    }
  });
}

/** Signs in by keys alone: the address has the focus. */
async function enter(page, email) {
  await page.goto('/login');
  await page.locator('#email:focus').waitFor();
  await page.keyboard.type(email);
  await page.keyboard.press('Tab');
  await page.keyboard.type('trellis-demo');
  await Promise.all([page.waitForURL((url) => url.pathname !== '/login'), page.keyboard.press('Enter')]);
}

/** Jumps over the menu, as the first key of a page offers. */
async function skipMenu(page) {
  await page.keyboard.press('Tab');
  await page.locator('.skip:focus').waitFor();
  await page.keyboard.press('Enter');
  await page.locator('main:focus').waitFor();
}

/** Goes forward with Tab until `target` has the focus, which is seen. */
async function reach(page, target) {
  const handle = await target.elementHandle();
  for (let steps = 0; steps < 60; steps += 1) {
    if (await handle.evaluate((element) => element === document.activeElement)) {
      const ring = await handle.evaluate((element) => getComputedStyle(element).outlineStyle);
      assert.notEqual(ring, 'none', 'the focus is seen');
      return;
    }
    await page.keyboard.press('Tab');
  }
  assert.fail(`no way by Tab to ${target}`);
}

journey('a lead is found, qualified, made a customer and written about without a mouse', async (page) => {
  const [product] = (await rep.get('/records/sales.product?limit=1')).data;
  const asked = { name: 'Kim Keys', company: 'Keyboard Works', email: 'kim@keys.example', stage: 'contacted', product: product.id, amount: 900 };
  const lead = (await rep.post('/records/sales.lead', asked)).id;
  await enter(page, REP);
  await page.keyboard.press('/');
  await page.keyboard.type('Keyboard Works');
  await Promise.all([page.waitForURL(/\/search/), page.keyboard.press('Enter')]);
  await page.locator('main input[name=q]:focus').waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await Promise.all([page.waitForURL(new RegExp(lead)), page.keyboard.press('Enter')]);
  await skipMenu(page);
  await reach(page, page.getByRole('link', { name: 'Qualified', exact: true }));
  await page.keyboard.press('Enter');
  await page.locator('#move').waitFor();
  await reach(page, page.locator('#move button[type=submit]'));
  await page.keyboard.press('Enter');
  await page.locator('.stages .current', { hasText: 'Qualified' }).waitFor();
  await skipMenu(page);
  await reach(page, page.locator('.deeds a', { hasText: 'Make a customer' }));
  await Promise.all([page.waitForURL(/\/convert\//), page.keyboard.press('Enter')]);
  await skipMenu(page);
  await reach(page, page.locator('[name="contact.job_title"]'));
  await page.keyboard.type('Head of Keys');
  await page.keyboard.press('Control+Enter');
  await page.waitForURL(/\/r\/sales\.(account|contact|deal)\/[0-9a-f-]+/);
  await skipMenu(page);
  await reach(page, page.locator('#note'));
  await page.keyboard.type('They type everything.');
  await page.keyboard.press('Control+Enter');
  await page.locator('.story .said', { hasText: 'They type everything.' }).waitFor();
  assert.equal((await rep.get(`/records/sales.lead/${lead}`)).stage, 'converted');
});

journey('an approval is opened and given by keys, and the words go with it', async (page) => {
  const [account] = (await rep.get('/records/sales.account?limit=1')).data;
  const [product] = (await rep.get('/records/sales.product?limit=1')).data;
  const { id: record } = await rep.post('/records/sales.quote', { account: account.id, discount: 10, reason: 'Loyal', items: [{ product: product.id, quantity: 1 }] });
  const { id } = await rep.post('/approvals', { flow: 'sales.discount', record });
  await enter(page, MANAGER);
  await reach(page, page.locator('a.inbox'));
  await Promise.all([page.waitForURL(/\/inbox/), page.keyboard.press('Enter')]);
  await page.keyboard.press('j');
  await Promise.all([page.waitForURL(/\/approvals\//), page.keyboard.press('Enter')]);
  await page.keyboard.press('a');
  await page.locator('#o-approve:focus').waitFor();
  await page.keyboard.type('Ten is fine.');
  await page.keyboard.press('Control+Enter');
  await page.locator('.tag.green').first().waitFor();
  await page.goto(`/approvals/${id}`);
  assert.match(await page.locator('.course').innerText(), /Ten is fine\./);
  assert.equal((await rep.get(`/records/sales.quote/${record}`)).approval_state, 'approved');
});

journey('all keys stand on one page, and single ones can be switched off', async (page) => {
  await enter(page, REP);
  await page.goto('/r/sales.account');
  await page.keyboard.press('?');
  const dialog = page.locator('dialog[open]');
  await dialog.waitFor();
  assert.deepEqual(await barriers(page), []);
  await page.keyboard.press('n');
  assert.equal(new URL(page.url()).pathname, '/r/sales.account', 'a key means nothing behind the dialog');
  await reach(page, dialog.locator('[data-keys-on]'));
  await page.keyboard.press('Space');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  await page.keyboard.press('j');
  assert.equal(await page.evaluate(() => document.activeElement.closest('[data-row]')), null, 'j is switched off');
  await page.reload();
  await page.keyboard.press('n');
  await page.keyboard.press('?');
  assert.equal(await dialog.count(), 0);
  await reach(page, page.locator('.person > summary'));
  await page.keyboard.press('Enter');
  await reach(page, page.locator('[data-keys]'));
  await page.keyboard.press('Enter');
  await dialog.waitFor();
  await reach(page, dialog.locator('[data-keys-on]'));
  await page.keyboard.press('Space');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  await page.keyboard.press('j');
  await page.waitForFunction(() => document.activeElement.closest('[data-row]'));
});

journey('a form with changes is not left by a slip', async (page) => {
  await enter(page, REP);
  await page.goto('/r/sales.account/new');
  await reach(page, page.locator('#f-name'));
  await page.keyboard.type('Half');
  let asked = 0;
  page.on('dialog', async (dialog) => { asked += 1; assert.equal(dialog.type(), 'beforeunload'); await dialog.dismiss(); });
  await reach(page, page.locator('.actions a'));
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('#f-name')?.value === 'Half');
  for (let tries = 0; tries < 50 && !asked; tries += 1) await page.evaluate(() => new Promise(requestAnimationFrame));
  assert.equal(asked, 1);
  assert.equal(new URL(page.url()).pathname, '/r/sales.account/new');
});
