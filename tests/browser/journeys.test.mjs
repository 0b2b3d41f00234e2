// In charge of what people do all day, in a real browser on the demonstration: sign in, find, move, write, on a phone, in Chinese.
// Invariant: each journey looks at the server again (a fresh load), never only at what the page just drew.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pick, signIn, signOut, startBrowser, startServer, visit } from './kit.mjs';

let server;
let browser;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Runs a journey of one person. */
function journey(name, walk, { options, email, signedIn = true } = {}) {
  test(name, { timeout: 90_000 }, async () => {
    const person = await visit(browser, server.base, options);
    try {
      if (signedIn) await signIn(person.page, email);
      await walk(person.page);
    } finally {
      await person.end();
    }
  });
}

journey('a wrong password is told, the right one opens the door, and leaving closes it', async (page) => {
  await page.goto('/r/sales.deal');
  assert.equal(new URL(page.url()).pathname, '/login', 'nobody sees a list');
  await page.fill('#email', 'admin@demo.local');
  await page.fill('#password', 'not the password');
  await page.click('button[type=submit]');
  await page.waitForSelector('[role=alert]');
  await page.fill('#password', 'trellis-demo');
  await page.click('button[type=submit]');
  await page.waitForSelector('nav.side');
  assert.equal(new URL(page.url()).pathname, '/r/sales.deal', 'where one wanted to go');
  await signOut(page);
  await page.goto('/r/sales.deal');
  assert.equal(new URL(page.url()).pathname, '/login');
}, { signedIn: false });

journey('a list is filtered, sorted and paged', async (page) => {
  await page.goto('/r/sales.account');
  const all = await page.locator('tbody tr').count();
  assert.ok(all >= 20, `${all} rows`);
  await page.fill('form[data-filters] input[name=q]', 'condax');
  await page.click('form[data-filters] button[type=submit]');
  await page.waitForURL(/q=condax/);
  const found = await page.locator('tbody tr').allInnerTexts();
  assert.ok(found.length > 0 && found.every((row) => /condax/i.test(row)), found.join('|'));
  await page.goto('/r/sales.deal');
  await page.locator('thead a').first().click();
  await page.waitForURL(/sort=/);
  await page.locator('a[rel=next]').click();
  await page.waitForURL(/after=/);
  assert.ok((await page.locator('tbody tr').count()) > 0);
});

journey('a card is dragged to the next column and stays there', async (page) => {
  await page.goto('/a/sales/view/deals_board');
  const [from, to] = ['engaging', 'prospecting'];
  const card = page.locator(`[data-column=${from}] .card`).first();
  const id = await card.getAttribute('data-id');
  await card.scrollIntoViewIfNeeded();
  const start = await card.boundingBox();
  const target = await page.locator(`[data-column=${to}]`).boundingBox();
  await page.mouse.move(start.x + start.width / 2, start.y + 12);
  await page.mouse.down();
  await page.mouse.move(start.x + start.width / 2 + 8, start.y + 18, { steps: 4 });
  const moved = page.waitForResponse((answer) => answer.request().method() !== 'GET' && answer.url().includes(id));
  await page.mouse.move(target.x + target.width / 2, target.y + 30, { steps: 12 });
  await page.mouse.up();
  assert.equal((await moved).status(), 200);
  await page.goto(`/r/sales.deal/${id}`);
  assert.match(await page.locator('.stages [aria-current=step]').innerText(), /Prospecting/);
});

journey('a card is moved with the keyboard alone', async (page) => {
  await page.goto('/a/sales/view/deals_board');
  const card = page.locator('[data-column=engaging] .card').nth(1);
  const id = await card.getAttribute('data-id');
  await card.locator('a').focus();
  const moved = page.waitForResponse((answer) => answer.request().method() !== 'GET' && answer.url().includes(id));
  await page.keyboard.press('Alt+ArrowLeft');
  assert.equal((await moved).status(), 200);
  await page.locator('.toast:not([hidden])').waitFor();
  await page.reload();
  await page.goto(`/r/sales.deal/${id}`);
  assert.match(await page.locator('.stages [aria-current=step]').innerText(), /Prospecting/);
});

journey('a move that needs more asks for it, and the deal is won', async (page) => {
  await page.goto('/a/sales/view/deals_board');
  const id = await page.locator('[data-column=engaging] .card').nth(3).getAttribute('data-id');
  await page.goto(`/r/sales.deal/${id}`);
  await page.locator('.stages a', { hasText: 'Won' }).click();
  await page.waitForSelector('#move');
  await page.fill('#f-close_date', '2030-01-15');
  await page.fill('#f-close_value', '1234.50');
  if (await page.locator('#f-account').count()) await pick(page, '#f-account', 'condax');
  await page.click('#move button[type=submit]');
  await page.waitForSelector('.stages .current.won');
  await page.reload();
  assert.match(await page.locator('main').innerText(), /1,234\.50/);
});

journey('a form shows and requires as one types, and keeps what was written', async (page) => {
  await page.goto('/r/sales.deal/new');
  const reason = page.locator('[data-field=lost_reason]');
  assert.equal(await reason.isVisible(), false, 'a reason for losing is not asked of a new deal');
  await page.click('.record-form button[type=submit]');
  await page.waitForSelector('[data-field=product] .error');
  assert.equal(await page.locator('#f-product').getAttribute('aria-invalid'), 'true');
  assert.equal(await pick(page, '#f-product', 'gtk'), 'GTK 500');
  await page.fill('#f-close_value', '777.70');
  await page.click('.record-form button[type=submit]');
  await page.waitForURL(/\/r\/sales\.deal\/[0-9a-f-]{36}/);
  assert.match(await page.locator('main').innerText(), /777\.70/);
});

journey('a note is written under a deal, a task is set and ticked off', async (page) => {
  await page.goto('/r/sales.deal');
  await page.locator('tbody a').first().click();
  await page.waitForSelector('.record');
  const text = `Called, will send an offer ${Date.now()} <b>&`;
  await page.fill('#note', text);
  await page.locator('form[action$="/add/note"] button[type=submit]').click();
  await page.locator('.toast', { hasText: 'Added' }).waitFor();
  await page.reload();
  assert.ok((await page.locator('.story').innerText()).includes(text), 'the note is there, as it was typed');
  await page.click('.composer summary:has-text("Task")');
  await page.fill('#t-subject', 'Send the offer');
  await page.locator('form[action$="/add/task"] button[type=submit]').click();
  const task = page.locator('.story li', { hasText: 'Send the offer' });
  await task.getByRole('button', { name: 'Mark as done' }).click();
  await page.locator('.story li', { hasText: 'Task, done' }).waitFor();
});

journey('a rep sees their team, and no manager\'s note', async (page) => {
  await page.goto('/r/sales.deal');
  const mine = await page.locator('.count').first().innerText();
  assert.ok(Number(mine.replaceAll(/\D/g, '')) < 8800, `${mine} deals`);
  await page.locator('tbody a').first().click();
  await page.waitForSelector('.record');
  assert.doesNotMatch(await page.locator('main').innerText(), /Manager.s note/);
}, { email: 'anna.snelling@demo.local' });

journey('everything speaks Chinese to who reads Chinese', async (page) => {
  await page.goto('/r/sales.deal');
  assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN');
  assert.match(await page.locator('h1').innerText(), /商机/);
  const text = await page.locator('body').innerText();
  for (const word of ['Sign out', 'New', 'Apply', 'Any']) assert.ok(!text.split('\n').includes(word), `${word} is not translated`);
  await page.goto('/r/sales.deal/new');
  await page.click('.record-form button[type=submit]');
  assert.match(await page.locator('[data-field=product] .error').innerText(), /[\u4e00-\u9fff]/);
}, { options: { locale: 'zh-CN' } });
