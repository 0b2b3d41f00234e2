// In charge of public pools in a real browser: what lies there is claimed, one or many, and given back with a reason.
// Invariant: each journey looks at the server again (a fresh load), never only at what the page just drew.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { barriers, caller, overflow, signIn, startBrowser, startServer, visit } from './kit.mjs';

let server;
let browser;
let admin;

before(async () => {
  server = await startServer();
  await server.run('app', 'install', 'tests/apps/pools');
  browser = await startBrowser();
  admin = await caller(server.base);
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Runs a journey of one person. */
function journey(name, walk, options) {
  test(name, { timeout: 90_000 }, async () => {
    const person = await visit(browser, server.base, options);
    try {
      await signIn(person.page);
      await walk(person.page);
    } finally {
      await person.end();
    }
  });
}

const customer = async (name) => (await admin.post('/records/ponds.customer', { name, region: 'east', owner: null })).id;
const ownerOf = async (id) => (await admin.get(`/records/ponds.customer/${id}`)).owner;

journey('many are ticked in the pool and claimed at once', async (page) => {
  const [one, two, three] = [await customer('Condax'), await customer('Betatech'), await customer('Zumgoity')];
  await page.goto('/r/ponds.customer');
  await page.locator('.scenes').getByRole('link', { name: 'Of the east' }).click();
  await page.getByRole('checkbox', { name: 'Condax' }).check();
  await page.getByRole('checkbox', { name: 'Betatech' }).check();
  assert.deepEqual(await barriers(page), []);
  await Promise.all([page.waitForURL(/done=claimed/), page.getByRole('button', { name: 'Claim' }).click()]);
  assert.ok(await ownerOf(one));
  assert.ok(await ownerOf(two));
  assert.equal(await ownerOf(three), null);
  await page.goto(new URL(page.url()).pathname + '?pool=ponds.inner');
  assert.equal(await page.getByRole('checkbox', { name: 'Condax' }).count(), 0);
  assert.equal(await page.getByRole('checkbox', { name: 'Zumgoity' }).count(), 1);
});

journey('one is claimed on a phone, and given back with a reason that the next one reads', async (page) => {
  const id = await customer('Acme');
  await page.goto(`/r/ponds.customer/${id}`);
  assert.ok((await overflow(page)) <= 0, 'nothing is wider than the phone');
  await Promise.all([page.waitForURL(/done=claimed/), page.getByRole('button', { name: 'Claim' }).click()]);
  assert.ok(await ownerOf(id));
  await page.locator('summary', { hasText: 'Give back to the pool' }).click();
  const give = page.locator('form[action$="/pool/release"]');
  assert.equal(await give.locator('textarea').getAttribute('required'), '', 'this pool asks why');
  assert.deepEqual(await barriers(page), []);
  await give.locator('textarea').fill('Wants to be called in May');
  await Promise.all([page.waitForURL(/done=released/), give.locator('button').click()]);
  assert.equal(await ownerOf(id), null);
  await page.goto(`/r/ponds.customer/${id}`);
  await page.getByText('Wants to be called in May').first().waitFor();
  await page.getByRole('button', { name: 'Claim' }).waitFor();
}, { viewport: { width: 390, height: 844 } });
