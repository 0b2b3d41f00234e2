// In charge of approvals as people live them: submit, decide in two taps, send back, add people, approve many, take back.
// Invariant: each journey looks at the server again (a fresh load or the API), never only at what the page just drew.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { barriers, caller, overflow, pick, signIn, startBrowser, startServer, visit } from './kit.mjs';

const PASSWORD = 'a sentence of my own';
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const REP = 'anna.snelling@demo.local';
const MANAGER = 'dustin.brinkmann@demo.local';
let server;
let browser;
let admin;
let rep;
let account;
let product;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
  admin = await caller(server.base);
  rep = await caller(server.base, REP);
  for (const [name, role] of [['Lex Legal', 'legal'], ['Fin Finance', 'finance']]) {
    await admin.post('/admin/users', { name, email: `${role}@demo.local`, roles: [`sales.${role}`], password: PASSWORD });
  }
  [account] = (await rep.get('/records/sales.account?limit=1')).data;
  [product] = (await rep.get('/records/sales.product?limit=1')).data;
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A quote of the rep. */
async function quote(discount) {
  const made = await rep.post('/records/sales.quote', { account: account.id, discount, reason: 'A good customer', items: [{ product: product.id, quantity: 2 }] });
  return made.id;
}

/** A quote that was submitted. */
async function submitted(discount) {
  const record = await quote(discount);
  const { id } = await rep.post('/approvals', { flow: 'sales.discount', record });
  return { record, id };
}

const stateOf = async (record, entity = 'sales.quote') => (await admin.get(`/records/${entity}/${record}`)).approval_state;

/** Runs a journey of several people, each in a window of their own. */
function journey(name, walk) {
  test(name, { timeout: 120_000 }, async () => {
    const people = [];
    const come = async (email, options, password) => {
      const person = await visit(browser, server.base, options);
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

journey('a quote is submitted, seen at once, and approved in two taps on a phone', async (come) => {
  const [anna, dustin, desk] = [await come(REP), await come(MANAGER, PHONE), await come(MANAGER)];
  await desk.goto('/inbox');
  const count = async () => Number(await desk.locator('.badge').textContent());
  const was = await count();
  const record = await quote(10);
  await anna.goto(`/r/sales.quote/${record}`);
  await anna.click('.deeds a:has-text("Submit for approval")');
  await anna.locator('.course', { hasText: 'Dustin Brinkmann' }).waitFor();
  await anna.fill('#opinion', 'They order every month.');
  await anna.click('.record-form button[type=submit]');
  await anna.locator('.toast', { hasText: 'Submitted' }).waitFor();
  assert.equal(await stateOf(record), 'running');
  assert.ok(await anna.locator('a.tag', { hasText: 'Locked by' }).count());
  await desk.waitForFunction((before) => Number(document.querySelector('.badge').textContent) === before + 1, was);
  await dustin.goto('/inbox');
  await dustin.locator('[data-row] a', { hasText: account.name }).first().click();
  await dustin.locator('.course', { hasText: 'They order every month.' }).waitFor();
  const bar = await dustin.locator('.decide').boundingBox();
  assert.ok(bar.y + bar.height <= 844 && bar.y > 700, 'the bar stands at the bottom, under the thumb');
  assert.ok((await overflow(dustin)) <= 0);
  await dustin.tap('.decide summary.yes');
  await dustin.tap('.decide [open] button[value=approve]');
  await dustin.locator('.tag', { hasText: 'Approved' }).first().waitFor();
  assert.equal(await stateOf(record), 'approved');
  await desk.waitForFunction((before) => Number(document.querySelector('.badge').textContent) === before, was);
  await anna.reload();
  await anna.locator('.approvals .tag.green').waitFor();
});

journey('what a step opens is changed with the decision, and a rejection wants words', async (come) => {
  const { record, id } = await submitted(12);
  const page = await come(MANAGER);
  await page.goto(`/approvals/${id}`);
  await page.keyboard.press('r');
  await page.click('.decide [open] button[value=reject]');
  await page.locator('#e-reject').waitFor();
  assert.equal(await stateOf(record), 'running');
  await page.fill('#f-discount', '800');
  await page.click('.decide summary.yes');
  await page.click('.decide [open] button[value=approve]');
  await page.locator('[data-field=discount] .error').waitFor();
  assert.equal(await page.inputValue('#f-discount'), '800', 'what was entered is kept');
  await page.fill('#f-discount', '7');
  await page.fill('#o-approve', 'Seven is enough.');
  await page.click('.decide [open] button[value=approve]');
  await page.locator('.tag.green').first().waitFor();
  assert.equal(await stateOf(record), 'approved');
  assert.equal((await admin.get(`/records/sales.quote/${record}`)).discount, 7);
});

journey('a quote comes back, is mended, and goes through all steps again', async (come) => {
  const { record, id } = await submitted(10);
  const [dustin, anna] = [await come(MANAGER), await come(REP)];
  await dustin.goto(`/approvals/${id}`);
  await dustin.click('.deeds summary:has-text("More")');
  await dustin.click('.popup a:has-text("Return")');
  await dustin.selectOption('#f-_resubmit', 'replay');
  await dustin.click('#act button[type=submit]');
  await dustin.locator('[data-field=_opinion] .error').waitFor();
  assert.equal(await dustin.inputValue('#f-_resubmit'), 'replay', 'what was chosen is kept');
  await dustin.fill('#f-_opinion', 'Why so much?');
  await dustin.click('#act button[type=submit]');
  await dustin.locator('.toast', { hasText: 'Returned' }).waitFor();
  assert.equal(await stateOf(record), 'returned');
  await anna.goto(`/r/sales.quote/${record}`);
  await anna.click('.approvals a:has-text("Submit again")');
  await anna.fill('#opinion', 'It is their first order.');
  await anna.click('.record-form button[type=submit]');
  await anna.locator('.toast', { hasText: 'Submitted' }).waitFor();
  assert.equal(await stateOf(record), 'running');
  await dustin.goto(`/approvals/${id}`);
  const course = await dustin.locator('.course').innerText();
  assert.match(course, /Why so much\?[\s\S]*submitted it again[\s\S]*It is their first order/);
});

journey('another is asked first, and only then one decides oneself', async (come) => {
  const { record, id } = await submitted(14);
  const [dustin, cecily] = [await come(MANAGER), await come('cecily.lampkin@demo.local')];
  await dustin.goto(`/approvals/${id}?act=add_sign#act`);
  await dustin.selectOption('#f-_where', 'before');
  await pick(dustin, '[id="f-_users.1"]', 'cecily');
  assert.equal(await dustin.locator('[id="f-_users.2"]').isVisible(), true, 'a further person may be named');
  await dustin.click('#act button[type=submit]');
  await dustin.locator('.toast', { hasText: 'Asked' }).waitFor();
  assert.equal(await dustin.locator('#decide').count(), 0, 'others decide first');
  await cecily.goto('/inbox');
  await cecily.locator('[data-row] a').first().click();
  await cecily.click('.decide summary.yes');
  await cecily.click('.decide [open] button[value=approve]');
  await cecily.locator('.course', { hasText: 'Cecily Lampkin approved' }).waitFor();
  assert.equal(await stateOf(record), 'running');
  await dustin.reload();
  await dustin.keyboard.press('a');
  await dustin.locator('#o-approve:focus').waitFor();
  await dustin.keyboard.press('Tab');
  await dustin.keyboard.press('Enter');
  await dustin.locator('.tag.green').first().waitFor();
  assert.equal(await stateOf(record), 'approved');
});

journey('many are approved at once, by keys as well', async (come) => {
  const made = [await submitted(9), await submitted(11), await submitted(13)];
  const page = await come(MANAGER);
  await page.goto('/inbox?flow=sales.discount');
  for (const { record } of made.slice(0, 2)) {
    const task = (await (await caller(server.base, MANAGER)).get(`/approvals/tasks?record=${record}`)).data[0].task;
    await page.check(`[name="t:${task}"]`);
  }
  assert.match(await page.locator('.bulk').innerText(), /\(2\)/);
  await page.click('.bulk button');
  await page.locator('.results').waitFor();
  assert.equal(await page.locator('.results .good').count(), 2);
  for (const { record } of made.slice(0, 2)) assert.equal(await stateOf(record), 'approved');
  await page.goto('/inbox?flow=sales.discount&q=nothing%20like%20this');
  assert.equal(await page.locator('[data-row]').count(), 0);
  await page.goto('/inbox?flow=sales.discount&step=manager');
  await page.keyboard.press('j');
  assert.ok(await page.evaluate(() => document.activeElement.matches('[data-row] a')));
  const before = await page.locator('[data-row]').count();
  await page.keyboard.press('a');
  await page.locator('.toast', { hasText: 'Approved' }).waitFor();
  await page.goto('/inbox?flow=sales.discount&step=manager');
  assert.equal(await page.locator('[data-row]').count(), before - 1);
});

journey('a decision is taken back while nobody went on from it', async (come) => {
  const record = (await rep.post('/records/sales.contract', { account: account.id, amount: 5000 })).id;
  const { id } = await rep.post('/approvals', { flow: 'sales.contract', record });
  const page = await come('legal@demo.local', {}, PASSWORD);
  await page.goto(`/approvals/${id}`);
  await page.fill('#f-legal_note', 'Clause 4 is unusual.');
  await page.click('.decide summary.yes');
  await page.click('.decide [open] button[value=approve]');
  await page.locator('.course', { hasText: 'Lex Legal approved' }).waitFor();
  assert.equal(await page.locator('#decide').count(), 0);
  await page.click('.deeds summary:has-text("More")');
  await page.click('.popup a:has-text("Take my decision back")');
  await page.fill('#f-_opinion', 'I read it too fast.');
  await page.click('#act button[type=submit]');
  await page.locator('#decide').waitFor();
  assert.match(await page.locator('.course').innerText(), /took the decision back[\s\S]*I read it too fast/);
  assert.equal(await stateOf(record, 'sales.contract'), 'running');
});

journey('people talk about an approval, with names and files', async (come) => {
  const { id } = await submitted(10);
  const page = await come(REP);
  await page.goto(`/approvals/${id}`);
  await page.fill('#comment', 'See the order of last year.');
  await page.click('.comment summary');
  await pick(page, '[id="f-_mention.1"]', 'lex');
  await page.setInputFiles('#comment-file', { name: 'order.txt', mimeType: 'text/plain', buffer: Buffer.from('an order') });
  await page.click('.comment button[type=submit]');
  const file = page.locator('.course a', { hasText: 'order.txt' });
  await file.waitFor();
  assert.match(await page.locator('.course').innerText(), /@ Lex Legal/);
  const lex = await come('legal@demo.local', {}, PASSWORD);
  assert.equal(await (await lex.request.get(await file.getAttribute('href'))).text(), 'an order', 'who was named may open it');
  await lex.goto('/inbox?box=copied');
  assert.ok((await lex.locator('[data-row]').count()) > 0);
  const stranger = await come('zane.levy@demo.local');
  assert.equal((await stranger.request.get(await file.getAttribute('href'))).status(), 404);
});

journey('a manager of the flow steps in, and all can read why', async (come) => {
  const { record, id } = await submitted(10);
  const page = await come('admin@demo.local');
  await page.goto(`/approvals/${id}`);
  await page.click('.deeds summary:has-text("More")');
  await page.click('.popup a:has-text("End the approval")');
  await page.selectOption('#f-_result', 'ended');
  await page.fill('#f-_opinion', 'The customer left.');
  await page.click('#act button[type=submit]');
  await page.locator('.toast', { hasText: 'Done' }).waitFor();
  assert.equal(await stateOf(record), 'ended');
  const anna = await come(REP);
  await anna.goto(`/approvals/${id}`);
  assert.match(await anna.locator('.course').innerText(), /The customer left/);
  assert.equal(await anna.locator('.deeds summary').count(), 0, 'nothing is left to be done');
});

journey('a notice leads to the approval that it is about', async (come) => {
  const { id } = await submitted(10);
  const page = await come(MANAGER);
  await page.goto('/r/core.notification?sort=-created_at');
  await page.locator('tbody a').first().click();
  await page.locator('#decide').waitFor();
  const [{ task }] = (await (await caller(server.base, MANAGER)).get('/approvals/tasks?limit=1')).data;
  assert.equal(new URL(page.url()).pathname, `/approvals/${task}`);
  assert.ok(id);
});

journey('who is away names a stand-in, who then decides for them', async (come) => {
  const page = await come(MANAGER);
  await page.goto('/me');
  await page.click('form[action^="/me/proxies"] button.primary');
  await page.locator('[data-field=proxy] .error, #stand-ins .error').first().waitFor();
  await pick(page, '#f-proxy', 'cecily');
  await page.selectOption('#proxy-flow', 'sales.discount');
  await page.click('form[action^="/me/proxies"] button.primary');
  await page.locator('#stand-ins .lines', { hasText: 'Cecily Lampkin stands in for me · Discount approval' }).waitFor();
  const { record } = await submitted(10);
  const cecily = await come('cecily.lampkin@demo.local');
  await cecily.goto('/me');
  await cecily.locator('#stand-ins', { hasText: 'I stand in for Dustin Brinkmann' }).waitFor();
  await cecily.goto('/inbox');
  await cecily.locator('[data-row] a').first().click();
  await cecily.click('.decide summary.yes');
  await cecily.click('.decide [open] button[value=approve]');
  await cecily.locator('.course', { hasText: 'Cecily Lampkin for Dustin Brinkmann' }).waitFor();
  assert.equal(await stateOf(record), 'approved');
  await page.reload();
  await page.click('#stand-ins .lines button');
  await page.locator('#stand-ins .lines', { hasText: 'Cecily' }).waitFor({ state: 'detached' });
});

journey('an administrator reads what a run did, and switches an automation off and on', async (come) => {
  const lead = (await admin.post('/records/sales.lead', { name: 'Maria Somebody', company: 'Nowhere Ltd', email: 'maria@example.org', owner: (await admin.get('/me')).id })).id;
  const page = await come('admin@demo.local');
  await page.click('.person > summary');
  await page.click('.popup a:has-text("Automations")');
  const line = page.locator('.automations li', { hasText: 'Every stage has its next task' });
  await line.locator('.tag.green', { hasText: 'On' }).waitFor();
  await line.locator('.what a').click();
  await page.locator('tbody a').first().click();
  await page.locator('.course', { hasText: 'find' }).waitFor();
  await page.click('.deeds a:has-text("Record")');
  await page.waitForURL(new RegExp(lead));
  await page.goto('/admin/automations');
  await line.locator('summary').click();
  await line.locator('.popup button').click();
  await line.locator('.tag.gray', { hasText: 'Off' }).waitFor();
  const told = async () => (await admin.get('/automations')).data.find((one) => one.automation === 'sales.lead_stage').off;
  assert.equal(await told(), true);
  for (const path of ['/admin/automations', '/admin/automations/runs']) {
    await page.goto(path);
    assert.deepEqual(await barriers(page), [], path);
    assert.ok((await overflow(page)) <= 0, path);
  }
  await page.locator('tbody a').first().click();
  await page.waitForSelector('h1');
  assert.deepEqual(await barriers(page), [], 'a run');
  await page.goto('/admin/automations');
  await line.locator('button:has-text("Switch on")').click();
  await line.locator('.tag.green').waitFor();
  assert.equal(await told(), false);
});

journey('nothing of a decision needs a script', async (come) => {
  const { record, id } = await submitted(10);
  const page = await come(MANAGER, { javaScriptEnabled: false });
  await page.goto(`/approvals/${id}?act=transfer`);
  await page.fill('#f-_to', 'Nobody At All');
  await page.click('#act button[type=submit]');
  await page.locator('[data-field=_to] .error').waitFor();
  assert.equal(await page.inputValue('#f-_to'), 'Nobody At All');
  await page.fill('#f-_to', 'Cecily Lampkin');
  await page.click('#act button[type=submit]');
  await page.locator('.course', { hasText: 'Cecily Lampkin' }).waitFor();
  const cecily = await come('cecily.lampkin@demo.local', { javaScriptEnabled: false });
  await cecily.goto(`/approvals/${id}`);
  await cecily.click('.decide summary.yes');
  await cecily.click('.decide [open] button[value=approve]');
  await cecily.locator('.tag.green').first().waitFor();
  assert.equal(await stateOf(record), 'approved');
});

for (const [name, options] of [['a desk', {}], ['a phone', PHONE], ['a dark desk', { colorScheme: 'dark' }]]) {
  journey(`no page of approvals hinders anybody at ${name}`, async (come) => {
    const { id } = await submitted(10);
    const open = await quote(20);
    const page = await come(MANAGER, options);
    for (const path of ['/inbox', '/inbox?box=mine', '/inbox?box=done&flow=sales.discount&q=a', `/approvals/${id}`, `/approvals/${id}?act=approve`, `/approvals/${id}?act=add_sign`, `/approvals/${id}?act=return`, `/r/sales.quote/${open}/submit/sales.discount`, `/r/sales.quote/${open}`, '/me']) {
      const answer = await page.goto(path);
      assert.equal(answer.status(), 200, path);
      assert.deepEqual(await barriers(page), [], path);
      assert.ok((await overflow(page)) <= 0, `${path} is wider than the window by ${await overflow(page)} px`);
    }
  });
}
