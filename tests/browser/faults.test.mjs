// In charge of what goes wrong, and of what is long, empty or chosen more than once: pages that stay usable and say what to do.
// Invariant: whatever a browser's window asks for, a person can read the answer and go on from it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { barriers, caller, overflow, signIn, startBrowser, startServer, visit } from './kit.mjs';

const REP = 'anna.snelling@demo.local';
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
let server;
let browser;
let admin;
let rep;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
  await server.run('app', 'install', 'tests/apps/kitchen_sink');
  admin = await caller(server.base);
  rep = await caller(server.base, REP);
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await server?.stop();
});

function journey(name, walk, { email = REP, options, signedIn = true } = {}) {
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

journey('an address that leads nowhere is a page, for a guest too, and JSON for programs', async (page) => {
  const answer = await page.goto('/no/such/place');
  assert.equal(answer.status(), 404);
  await page.getByRole('heading', { name: 'Nothing to see here' }).waitFor();
  assert.deepEqual(await barriers(page), []);
  await page.getByRole('link', { name: 'To the first page' }).click();
  await page.waitForURL(/\/login/);
  const told = await fetch(`${server.base}/no/such/place`);
  assert.match(told.headers.get('content-type'), /problem\+json/);
  const api = await page.goto('/api/v1/nothing');
  assert.match(api.headers()['content-type'], /problem\+json/, 'the API speaks JSON to everybody');
}, { signedIn: false });

journey('who may not is told so, and who could help', async (page) => {
  const answer = await page.goto('/admin/users');
  assert.equal(answer.status(), 403);
  await page.getByRole('heading', { name: 'No access' }).waitFor();
  assert.match(await page.locator('main').innerText(), /An administrator can give you the right/);
});

journey('a name as long as it may be stays within every page', async (page) => {
  const name = 'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft'.repeat(2).slice(0, 118);
  const lead = (await rep.post('/records/sales.lead', { name, company: 'x'.repeat(118), email: `${'long'.repeat(15)}@example.org` })).id;
  for (const path of [`/r/sales.lead/${lead}`, `/r/sales.lead/${lead}/edit`, '/a/sales/view/leads_board', '/a/sales/view/leads', `/search?q=${name.slice(0, 20)}`]) {
    await page.goto(path);
    assert.ok((await overflow(page)) <= 0, `${path} is wider than the window by ${await overflow(page)} px`);
  }
}, { options: PHONE });

journey('an empty list says that it is empty, and one that filters emptied says that', async (page) => {
  await page.goto('/a/sales/view/my_deals');
  assert.match(await page.locator('.empty').innerText(), /Nothing here yet/);
  await page.goto('/r/sales.account?q=nothing%20like%20this');
  assert.match(await page.locator('.empty').innerText(), /Nothing fits/);
}, { email: 'dustin.brinkmann@demo.local' });

journey('what a task is about stands by its name, and an address is a link', async (page) => {
  const lead = (await rep.post('/records/sales.lead', { name: 'Linda Linked', company: 'Links', email: 'linda@links.example', phone: '+493012345' })).id;
  await rep.post('/records/core.task', { subject: 'Call Linda', about: { entity: 'sales.lead', id: lead } });
  await page.goto('/r/core.task?q=Call%20Linda');
  await page.locator('tbody a', { hasText: 'Linda Linked' }).click();
  await page.waitForURL(new RegExp(lead));
  assert.equal(await page.locator('.facts a', { hasText: 'linda@links.example' }).getAttribute('href'), 'mailto:linda@links.example');
  assert.equal(await page.locator('.facts a', { hasText: '+493012345' }).getAttribute('href'), 'tel:+493012345');
});

journey('several of several are chosen by their names, and let go of again', async (page) => {
  await page.goto('/r/kitchen_sink.customer/new');
  await page.fill('#f-name', 'Chooser');
  await page.getByLabel('Lathes').check();
  await page.getByLabel('Robots').check();
  assert.deepEqual(await barriers(page), []);
  await page.click('.record-form button[type=submit]');
  await page.waitForURL(/\/r\/kitchen_sink\.customer\/[0-9a-f-]+/);
  const id = new URL(page.url()).pathname.split('/').at(-1);
  const needs = async () => (await admin.get(`/records/kitchen_sink.customer/${id}`)).needs;
  assert.equal((await needs()).length, 2);
  assert.match(await page.locator('.facts').innerText(), /Lathes, Robots/);
  await page.goto(`/r/kitchen_sink.customer/${id}/edit`);
  assert.equal(await page.getByLabel('Robots').isChecked(), true);
  for (const name of ['Lathes', 'Robots']) await page.getByLabel(name).uncheck();
  await page.click('.record-form button[type=submit]');
  await page.waitForURL((url) => url.pathname.endsWith(id));
  assert.ok(!(await needs())?.length, 'nothing is chosen any more');
}, { email: 'admin@demo.local' });
