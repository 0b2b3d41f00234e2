// In charge of what is done with an approval beside yes and no: opinions asked and taken back, people added and taken away,
// tasks claimed and given back, approvals revoked, the deeds of a flow's manager; and of runs of automations, tried again by hand.
// Invariant: each journey looks at the server again (a fresh load or the API), never only at what the page just drew.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { barriers, caller, overflow, pick, signIn, startBrowser, startServer, visit } from './kit.mjs';

const PASSWORD = 'a sentence of my own';
const REP = 'anna.snelling@demo.local';
const MANAGER = 'dustin.brinkmann@demo.local';
const COLLEAGUE = 'cecily.lampkin@demo.local';
let server;
let browser;
let admin;
let rep;
let account;
let product;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
  await server.run('app', 'install', 'tests/apps/approvals');
  await server.run('app', 'install', 'tests/apps/automations');
  admin = await caller(server.base);
  rep = await caller(server.base, REP);
  const people = [
    ['Lex Legal', 'lex', ['sales.legal']], ['Fin Finance', 'fin', ['sales.finance']],
    ['Carla Clerk', 'carla', ['approvals.finance']], ['Chris Clerk', 'chris', ['approvals.finance']],
    ['Bea Boss', 'bea', ['approvals.boss']], ['Rita Rep', 'rita', ['approvals.rep']],
  ];
  for (const [name, word, roles] of people) await admin.post('/admin/users', { name, email: `${word}@demo.local`, roles, password: PASSWORD });
  [account] = (await rep.get('/records/sales.account?limit=1')).data;
  [product] = (await rep.get('/records/sales.product?limit=1')).data;
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A discount that is submitted: the record and its approval. */
async function submitted(discount) {
  const made = await rep.post('/records/sales.quote', { account: account.id, discount, reason: 'A good customer', items: [{ product: product.id, quantity: 2 }] });
  const { id } = await rep.post('/approvals', { flow: 'sales.discount', record: made.id });
  return { record: made.id, id };
}

const stateOf = async (record, entity = 'sales.quote') => (await admin.get(`/records/${entity}/${record}`)).approval_state;

/** Runs a journey of several people, each in a window of their own. */
function journey(name, walk) {
  test(name, { timeout: 120_000 }, async () => {
    const people = [];
    const come = async (email, password) => {
      const person = await visit(browser, server.base);
      people.push(person);
      await signIn(person.page, email, password);
      return person.page;
    };
    try {
      await walk(come);
    } finally {
      for (const person of people) await person.end();
    }
  });
}

/** Opens the form of an act from the menu, as people do; what is done at once is done. */
async function act(page, label) {
  await page.click('.deeds summary:has-text("More")');
  await page.locator('.popup a, .popup button').filter({ hasText: label }).click();
}

/** Sends the form of an act, and waits for the word that says that it was done. */
async function send(page, said) {
  await page.click('#act button[type=submit]');
  await page.locator('.toast', { hasText: said }).waitFor();
}

async function approve(page) {
  await page.click('.decide summary.yes');
  await page.click('.decide [open] button[value=approve]');
  await page.locator('#decide').waitFor({ state: 'detached' });
}

const courseOf = (page) => page.locator('.course').innerText();

journey('an opinion is asked for, given by one who does not decide, and asked for again in vain', async (come) => {
  const { record, id } = await submitted(10);
  const [dustin, cecily] = [await come(MANAGER), await come(COLLEAGUE)];
  await dustin.goto(`/approvals/${id}`);
  await act(dustin, 'Ask for an opinion');
  await dustin.click('#act button[type=submit]');
  await dustin.locator('[data-field=_to] .error').waitFor();
  await pick(dustin, '#f-_to', 'cecily');
  await dustin.fill('#f-_opinion', 'Do they pay in time?');
  await send(dustin, 'Asked');
  await cecily.goto('/inbox');
  await cecily.locator('[data-row] a').first().click();
  await cecily.locator('.course', { hasText: 'Do they pay in time?' }).waitFor();
  assert.equal(await cecily.locator('.decide summary').count(), 0, 'who is asked does not decide');
  await act(cecily, 'Give an opinion');
  await cecily.fill('#f-_opinion', 'They always did.');
  await cecily.click('#act button[type=submit]');
  await cecily.locator('.course', { hasText: 'They always did.' }).waitFor();
  assert.equal(await stateOf(record), 'running');
  await dustin.goto(`/approvals/${id}`);
  assert.match(await courseOf(dustin), /Cecily Lampkin gave an opinion[\s\S]*They always did\./);
  await act(dustin, 'Ask for an opinion');
  await pick(dustin, '#f-_to', 'versie');
  await send(dustin, 'Asked');
  await act(dustin, 'Take the question back');
  await dustin.locator('.course', { hasText: 'took the question back' }).waitFor();
  await approve(dustin);
  assert.equal(await stateOf(record), 'approved');
});

journey('one who was added is taken away again, and is asked no more', async (come) => {
  const { record, id } = await submitted(11);
  const [dustin, cecily] = [await come(MANAGER), await come(COLLEAGUE)];
  await dustin.goto(`/approvals/${id}`);
  await act(dustin, 'Add people');
  await dustin.selectOption('#f-_where', 'parallel');
  await pick(dustin, '[id="f-_users.1"]', 'cecily');
  await send(dustin, 'Asked');
  await cecily.goto(`/approvals/${id}`);
  await cecily.locator('#decide').waitFor();
  await dustin.goto(`/approvals/${id}`);
  await act(dustin, 'Take an added person away');
  assert.deepEqual(await dustin.locator('#f-_user option:not([value=""])').allInnerTexts(), ['Cecily Lampkin']);
  await dustin.selectOption('#f-_user', { label: 'Cecily Lampkin' });
  await dustin.click('#act button[type=submit]');
  await dustin.locator('.course', { hasText: 'took away' }).waitFor();
  await cecily.goto('/inbox');
  assert.equal(await cecily.locator(`[data-row] a[href*="${id}"]`).count(), 0);
  await approve(dustin);
  assert.equal(await stateOf(record), 'approved');
});

journey('what was approved is revoked by the same people, and the contract is free again', async (come) => {
  const record = (await rep.post('/records/sales.contract', { account: account.id, amount: 7000 })).id;
  const { id } = await rep.post('/approvals', { flow: 'sales.contract', record });
  const [lex, fin, dustin, anna] = [await come('lex@demo.local', PASSWORD), await come('fin@demo.local', PASSWORD), await come(MANAGER), await come(REP)];
  const all = async () => {
    for (const page of [lex, fin, dustin]) {
      await page.goto(`/approvals/${id}`);
      await approve(page);
    }
  };
  await all();
  assert.equal(await stateOf(record, 'sales.contract'), 'approved');
  await anna.goto(`/approvals/${id}`);
  await act(anna, 'Revoke the approval');
  await anna.fill('#f-_opinion', 'The customer went bankrupt.');
  await anna.click('#act button[type=submit]');
  await anna.locator('.tag', { hasText: 'Revocation' }).waitFor();
  assert.match(await courseOf(anna), /asked for the revocation[\s\S]*The customer went bankrupt\./);
  await all();
  assert.equal(await stateOf(record, 'sales.contract'), 'revoked');
  await anna.goto(`/r/sales.contract/${record}`);
  assert.equal(await anna.locator('a.tag', { hasText: 'Locked by' }).count(), 0);
  assert.equal(await anna.locator('.deeds a[data-key=e]').count(), 1, 'it may be changed again');
});

journey('a task that several may take is taken by one, given back, and taken by another', async (come) => {
  const rita = await caller(server.base, 'rita@demo.local', PASSWORD);
  const record = (await rita.post('/records/approvals.claim', { name: 'Taxi', amount: 30, way: 'claim' })).id;
  const { id } = await rita.post('/approvals', { flow: 'approvals.pool', record });
  const [carla, chris] = [await come('carla@demo.local', PASSWORD), await come('chris@demo.local', PASSWORD)];
  await carla.goto('/inbox');
  await carla.locator('[data-row] a').first().click();
  await carla.locator('.course', { hasText: 'may take it' }).first().waitFor();
  assert.equal(await carla.locator('#decide').count(), 0, 'nobody decides what nobody took');
  await act(carla, 'Take this task');
  await carla.locator('#decide').waitFor();
  await chris.goto('/inbox');
  assert.equal(await chris.locator('[data-row]').count(), 0, 'it is taken');
  await act(carla, 'Give the task back');
  await carla.locator('#decide').waitFor({ state: 'detached' });
  await chris.goto(`/approvals/${id}`);
  await act(chris, 'Take this task');
  await chris.locator('#decide').waitFor();
  await approve(chris);
  assert.match(await courseOf(chris), /Carla Clerk took the task[\s\S]*Carla Clerk gave the task back[\s\S]*Chris Clerk approved/);
  const bea = await come('bea@demo.local', PASSWORD);
  await bea.goto(`/approvals/${id}`);
  await approve(bea);
  assert.equal(await stateOf(record, 'approvals.claim'), 'approved');
});

journey('a manager of the flow suspends, replaces, moves to another step and unlocks, each with a reason', async (come) => {
  const { record, id } = await submitted(12);
  const [page, cecily] = [await come('admin@demo.local'), await come(COLLEAGUE)];
  await page.goto(`/approvals/${id}`);
  await act(page, 'Suspend');
  await page.click('#act button[type=submit]');
  await page.locator('[data-field=_opinion] .error').waitFor();
  await page.fill('#f-_opinion', 'The price list is wrong.');
  await send(page, 'Done');
  await page.locator('.tag', { hasText: 'Suspended' }).waitFor();
  await act(page, 'Let it go on');
  await page.fill('#f-_opinion', 'It is mended.');
  await send(page, 'Done');
  assert.equal(await page.locator('.tag', { hasText: 'Suspended' }).count(), 0);
  await act(page, 'Replace somebody');
  await page.selectOption('#f-_user', { label: 'Dustin Brinkmann' });
  await pick(page, '#f-_by', 'cecily');
  await page.fill('#f-_opinion', 'Dustin is away.');
  await send(page, 'Done');
  await act(page, 'Unlock the record');
  await page.fill('#f-_opinion', 'A typing error is mended.');
  await send(page, 'Done');
  await page.locator('.tag', { hasText: 'Record unlocked' }).waitFor();
  await cecily.goto(`/approvals/${id}`);
  assert.match(await courseOf(cecily), /The price list is wrong\.[\s\S]*It is mended\.[\s\S]*Dustin is away\.[\s\S]*A typing error is mended\./);
  await act(page, 'Move to a step');
  await page.selectOption('#f-_to', { label: 'Manager, then director' });
  await page.fill('#f-_opinion', 'It is larger than it looks.');
  assert.deepEqual(await barriers(page), []);
  assert.ok((await overflow(page)) <= 0);
  await send(page, 'Done');
  await page.reload();
  assert.match(await courseOf(page), /It is larger than it looks\.[\s\S]*decides now Manager, then director/);
  assert.equal(await stateOf(record), 'running');
});

journey('a run that failed says why, is tried again by hand, and another is given up', async (come) => {
  const page = await come('admin@demo.local');
  const failed = async (name) => {
    const ticket = (await admin.post('/records/auto.ticket', { name })).id;
    const row = await admin.get(`/records/auto.ticket/${ticket}`);
    await admin.patch(`/records/auto.ticket/${ticket}`, { note: 'bad', version: row.version });
    // The page is loaded until the run was tried once: it runs behind the write.
    await page.goto('/admin/automations/runs?automation=auto.refuses');
    const line = page.locator('tbody tr', { hasText: 'failed' }).first();
    for (let tries = 0; tries < 50 && !(await line.count()); tries += 1) await page.reload();
    await line.locator('a').click();
    await page.locator('.said.bad', { hasText: /required/i }).first().waitFor();
    return ticket;
  };
  const ticket = await failed('a');
  const { version } = await admin.get(`/records/auto.ticket/${ticket}`);
  await admin.patch(`/records/auto.ticket/${ticket}`, { email: 'a@example.com', version });
  await page.click('.deeds button:has-text("Try again")');
  await page.locator('h1 ~ .tag.green').waitFor();
  await page.reload();
  await page.locator('h1 ~ .tag.green').waitFor();
  assert.ok(JSON.stringify(await admin.get('/records/auto.log')).includes('a@example.com'), 'what it was to do is done');
  await failed('b');
  await page.click('.deeds button:has-text("Give up")');
  await page.locator('h1 ~ .tag', { hasText: 'given up' }).waitFor();
  assert.equal(await page.locator('.deeds button:has-text("Try again")').count(), 0);
});
