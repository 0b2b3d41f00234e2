// In charge of the pages around the records: filters, calendars, timelines, galleries, the bin, accounts, people; and of no page hindering anybody.
// Invariant: each journey looks at the server again (a fresh load), never only at what the page just drew.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { barriers, overflow, pick, signIn, signOut, startBrowser, startServer, visit } from './kit.mjs';

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
function journey(name, walk, { options, email } = {}) {
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

const rows = (page) => page.locator('tbody tr').count();
const total = async (page) => Number((await page.locator('.head .count').innerText()).replaceAll(/\D/g, ''));

journey('filters of every kind are added, shown as chips, kept as a view, and taken off one by one', async (page) => {
  await page.goto('/a/sales/view/deals');
  const all = await total(page);
  await Promise.all([page.waitForURL(/f\.stage=won/), page.selectOption('[name="f.stage"]', 'won')]);
  await Promise.all([page.waitForURL(/f\.account=/), pick(page, '#p-account', 'condax')]);
  await page.click('summary:has-text("Add filter")');
  await page.click('.popup a:text-is("Value")');
  await page.fill('[name="f.close_value~min"]', '1,000');
  await page.keyboard.press('Enter');
  await page.locator('.chip', { hasText: 'Value ≥ 1,000' }).waitFor();
  assert.deepEqual((await page.locator('.chip').allInnerTexts()).map((text) => text.trim()).toSorted(), ['Account: Condax', 'Stage: Won', 'Value ≥ 1,000']);
  const few = await total(page);
  assert.ok(few > 0 && few < all, `${few} of ${all}`);
  await page.click('summary:has-text("Save as view")');
  await page.fill('#view-label', 'Condax, won');
  await page.click('form[action="/views"] button');
  await page.locator('.chip.current', { hasText: 'Condax, won' }).waitFor();
  await page.click('a[aria-label="Remove: Value ≥ 1,000"]');
  await page.click('a[aria-label="Remove: Account: Condax"]');
  assert.equal(await page.locator('.chip:not(.saved)').count(), 1);
  await page.goto('/a/sales/view/deals');
  await page.click('.chip.saved a');
  assert.equal(await total(page), few, 'the view shows the same');
  await page.click('button[aria-label="Forget this view: Condax, won"]');
  await page.locator('.chip.saved').waitFor({ state: 'detached' });
});

journey('a date and an empty field filter too, and a condition that cannot be read is told', async (page) => {
  await page.goto('/r/sales.deal?f.close_date~is=empty');
  const open = await total(page);
  await page.goto('/r/sales.deal?f.close_date~is=set');
  const closed = await total(page);
  await page.goto('/r/sales.deal');
  assert.equal(open + closed, await total(page));
  await page.goto('/r/sales.deal?f.close_date~from=1990-01-01&f.close_date~until=2099-12-31');
  assert.equal(await total(page), closed);
  await page.goto('/r/sales.deal?f.close_value~min=many');
  await page.waitForSelector('[role=alert]');
  await page.click('a[aria-label^="Remove: Value"]');
  assert.ok((await rows(page)) > 0);
});

journey('a record is chosen with the keyboard, cleared, and found by a part of its name', async (page) => {
  await page.goto('/r/sales.account');
  await page.locator('tbody a').first().click();
  await page.click('a:has-text("Edit")');
  const box = page.locator('[data-field=parent]');
  await box.locator('input[data-text]').focus();
  await page.keyboard.press('ArrowDown');
  await box.locator('[role=option]').nth(2).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  assert.notEqual(await box.locator('input[data-id]').inputValue(), '');
  await box.locator('[data-clear]').click();
  assert.equal(await box.locator('input[data-id]').inputValue(), '');
  assert.equal(await pick(page, '#f-parent', 'hottechi'), 'Hottechi');
  await page.fill('#f-parent', 'half a na');
  await page.locator('#f-name').focus();
  assert.equal(await page.inputValue('#f-parent'), 'Hottechi', 'what was not chosen does not stay');
  await page.click('.record-form button[type=submit]');
  await page.waitForSelector('.record');
  assert.match(await page.locator('.facts').innerText(), /Hottechi/);
});

journey('a picker works without any script: a typed name is looked up', async (page) => {
  await page.goto('/r/sales.deal/new');
  await page.fill('#f-product', 'gtx');
  await page.click('.record-form button[type=submit]');
  await page.waitForSelector('[data-field=product] .error');
  await page.selectOption('select#f-product', { label: 'GTX Basic' });
  await page.fill('#f-account', 'Condax');
  await page.click('.record-form button[type=submit]');
  await page.waitForURL(/\/r\/sales\.deal\/[0-9a-f-]{36}/);
  assert.equal(await page.locator('h1').innerText(), 'GTX Basic · Condax');
}, { options: { javaScriptEnabled: false } });

journey('a deal is dragged to another day of the calendar, and brought back by a key', async (page) => {
  await page.goto('/a/sales/view/closing_calendar');
  await page.click('a[rel=prev]');
  await page.waitForURL(/month=/);
  const from = page.locator('[data-day]:has([data-id])').nth(2);
  const day = await from.getAttribute('data-day');
  const entry = from.locator('[data-id]').first();
  const id = await entry.getAttribute('data-id');
  const to = page.locator('[data-day]').nth(18);
  const target = await to.getAttribute('data-day');
  await to.scrollIntoViewIfNeeded();
  const [start, end] = [await entry.boundingBox(), await to.boundingBox()];
  await page.mouse.move(start.x + 20, start.y + 10);
  await page.mouse.down();
  await page.mouse.move(start.x + 28, start.y + 16, { steps: 4 });
  await page.mouse.move(end.x + end.width / 2, end.y + 20, { steps: 14 });
  // The hand goes on until the entry is where it is wanted, and stays there.
  const carried = to.locator(`[data-id="${id}"]`);
  for (let tries = 0; tries < 8; tries += 1) {
    const there = await to.boundingBox();
    await page.mouse.move(there.x + there.width / 2 + tries, there.y + 24, { steps: 4 });
    if (tries > 1 && (await carried.count())) break;
  }
  await carried.waitFor();
  const placed = page.waitForResponse((answer) => answer.url().includes(`/place/${id}`));
  await page.mouse.up();
  const answer = await placed;
  assert.equal(answer.status(), 200);
  await page.goto(`/r/sales.deal/${id}`);
  assert.ok((await page.locator('.facts').innerText()).includes(target));
  assert.ok((await page.locator('.story').innerText()).includes(day), 'the story tells the day before');
  await page.goto(`/a/sales/view/closing_calendar?month=${target.slice(0, 7)}&q=${encodeURIComponent(await factOf(page, 'Number'))}`);
  await page.locator(`[data-id="${id}"] a`).focus();
  const again = page.waitForResponse((answer) => answer.url().includes(`/place/${id}`));
  await page.keyboard.press('Alt+ArrowRight');
  assert.equal((await again).status(), 200);
});

const factOf = (page, label) => page.locator('.facts div', { has: page.locator(`dt:text-is("${label}")`) }).locator('dd').innerText();

journey('a timeline shows quarters by owner, a gallery its cards', async (page) => {
  await page.goto('/a/sales/view/talks');
  assert.ok((await page.locator('.bar').count()) > 10);
  assert.ok((await page.locator('tr.group').count()) > 0);
  await page.click('.period a:text-is("Year")');
  assert.equal(await page.locator('.bars thead th').count(), 12);
  await page.goto('/a/sales/view/catalogue');
  assert.equal(await page.locator('.gallery li').count(), 7);
  await page.locator('.gallery a').first().click();
  const picture = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
  await page.setInputFiles('#u-picture', { name: 'dot.png', mimeType: 'image/png', buffer: picture });
  await page.locator('.facts img').waitFor();
  await page.goto('/a/sales/view/catalogue');
  assert.ok(await page.locator('.gallery img').first().evaluate((image) => image.complete && image.naturalWidth === 1));
});

journey('what was deleted or moved is taken back at once, and waits in the bin', async (page) => {
  // Talks need an account: a deal without one could not go back.
  await page.goto('/r/sales.deal?f.stage=engaging&f.account~is=set');
  const href = await page.locator('tbody a').first().getAttribute('href');
  await page.goto(href);
  await page.click('.stages button:has-text("Prospecting")');
  await page.locator('.toast button', { hasText: 'Undo' }).click();
  await page.locator('.stages .current', { hasText: 'Engaging' }).waitFor();
  await page.click('.deeds button:has-text("Delete")');
  await page.waitForURL(/\/r\/sales\.deal(\?|$)/);
  await page.locator('.toast button', { hasText: 'Undo' }).click();
  await page.waitForURL(new RegExp(href));
  await page.click('.deeds button:has-text("Delete")');
  await page.waitForURL(/\/r\/sales\.deal(\?|$)/);
  await page.goto('/bin?entity=sales.deal');
  await page.click('tbody button:has-text("Restore")');
  await page.locator('.toast', { hasText: 'Restored' }).waitFor();
  await page.goto(href);
  assert.equal(await page.locator('.tag.red').count(), 0);
});

journey('a record is given to somebody else, and a file hangs on it', async (page) => {
  await page.goto('/r/sales.deal');
  await page.locator('tbody a').first().click();
  await page.click('summary:has-text("Change owner")');
  await pick(page, '#f-owner', 'zane');
  await page.click('form[action$="/owner"] button.primary');
  await page.locator('.toast', { hasText: 'Saved' }).waitFor();
  assert.match(await factOf(page, 'Owner'), /Zane/);
  await page.click('.composer summary:has-text("File")');
  await page.setInputFiles('#file', { name: 'offer.txt', mimeType: 'text/plain', buffer: Buffer.from('an offer') });
  await page.click('form[action$="/upload/files"] button');
  const link = page.locator('.story a', { hasText: 'offer.txt' });
  await link.waitFor();
  const file = await page.request.get(await link.getAttribute('href'));
  assert.equal(await file.text(), 'an offer');
});

journey('an administrator adds a person, who sets a password by the link, and is switched off', async (page) => {
  await page.goto('/admin/users/new');
  await page.fill('#f-name', '王小明');
  await page.fill('#f-email', 'xiaoming@example.com');
  await pick(page, '#f-department', 'east');
  await page.check('[name="role:sales.rep"]');
  await page.click('.record-form button[type=submit]');
  const link = await page.locator('#link').inputValue();
  const person = await visit(browser, server.base);
  await person.page.goto(link);
  await person.page.fill('#password', 'a sentence of my own');
  await person.page.click('button[type=submit]');
  await person.page.waitForURL(/login/);
  await signIn(person.page, 'xiaoming@example.com', 'a sentence of my own');
  await page.goto('/admin/users?q=wangxiaoming');
  await page.locator('tbody a').first().click();
  await page.click('button:has-text("Disable")');
  await page.locator('.tag', { hasText: 'Disabled' }).waitFor();
  await person.page.goto('/r/sales.deal');
  assert.equal(new URL(person.page.url()).pathname, '/login', 'their session ended');
  await person.end();
});

journey('one\'s own language, token and password are set on one\'s own page', async (page) => {
  await page.click('.person > summary');
  await page.click('.popup a:has-text("My account")');
  await page.selectOption('#locale', 'zh-TW');
  await page.click('form[action="/me/settings"] button');
  await page.locator('.toast', { hasText: '已儲存' }).waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'zh-TW');
  await page.fill('#token-name', 'report');
  await page.click('form[action="/me/tokens"] button');
  const secret = await page.locator('#secret').inputValue();
  const me = await fetch(`${server.base}/api/v1/me`, { headers: { Authorization: `Bearer ${secret}` } });
  assert.equal((await me.json()).email, 'carl.lin@demo.local');
  await page.click('button[aria-label$=": report"]');
  assert.equal((await fetch(`${server.base}/api/v1/me`, { headers: { Authorization: `Bearer ${secret}` } })).status, 401);
  await page.fill('#current', 'not this one');
  await page.fill('#new', 'quite another sentence');
  await page.click('form[action="/me/password"] button');
  await page.waitForSelector('[role=alert]');
  await page.fill('#current', 'trellis-demo');
  await page.fill('#new', 'quite another sentence');
  await page.click('form[action="/me/password"] button');
  await page.locator('.toast', { hasText: '已儲存' }).waitFor();
  await signOut(page);
  await signIn(page, 'carl.lin@demo.local', 'quite another sentence');
}, { email: 'carl.lin@demo.local' });

for (const [name, options] of [['a desk', {}], ['a phone', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }], ['a dark desk', { colorScheme: 'dark' }]]) {
  journey(`no page hinders anybody at ${name}`, async (page) => {
    const first = async (path) => {
      await page.goto(path);
      return page.locator('tbody a').first().getAttribute('href');
    };
    const [deal, account, user] = [await first('/r/sales.deal?f.stage=engaging'), await first('/r/sales.account'), await first('/admin/users')];
    const paths = [
      '/login', '/a/sales/view/deals_board', '/r/sales.deal', '/a/sales/view/deals?f.stage=won&f.close_value~min=1000&add=close_date', '/r/sales.deal/new', '/search?q=condax',
      '/a/sales/view/closing_calendar', '/a/sales/view/talks', '/a/sales/view/catalogue', deal, `${deal}?move=won`, `${deal}/edit`, account, `${account}/related/deals`,
      '/bin', '/me', '/admin/users', user, '/admin/users/new',
    ];
    for (const path of paths) {
      const answer = await page.goto(path);
      assert.equal(answer.status(), 200, path);
      assert.deepEqual(await barriers(page), [], path);
      assert.ok((await overflow(page)) <= 0, `${path} is wider than the window by ${await overflow(page)} px`);
    }
  }, { options });
}
