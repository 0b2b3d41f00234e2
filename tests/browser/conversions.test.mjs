// In charge of records that become others and of buttons that ask, in a real browser: seen first, changed, refused, done.
// Invariant: each journey looks at the server again (a fresh load), never only at what the page just drew.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { barriers, overflow, pick, signIn, startBrowser, startServer, visit } from './kit.mjs';

let server;
let browser;
let token;

before(async () => {
  server = await startServer();
  await server.run('app', 'install', 'tests/apps/conversions');
  browser = await startBrowser();
  token = (await api('/auth/login', { email: 'admin@demo.local', password: 'trellis-demo', token: true })).token;
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Asks the API; posts a body where there is one. */
async function api(path, body) {
  const headers = { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(`${server.base}/api/v1${path}`, { method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${path}: ${text}`);
  return JSON.parse(text);
}

const make = async (entity, values) => (await api(`/records/${entity}?duplicates=accept`, values)).id;

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

async function lead(company) {
  const product = (await api('/records/sales.product?limit=1')).data[0].id;
  return make('sales.lead', { name: 'Wei Zhang', phone: '+8613812345678', company, stage: 'qualified', product, amount: 5500 });
}

journey('a lead is looked at, corrected, and becomes a customer that knows where it came from', async (page) => {
  const id = await lead('condax');
  await page.goto(`/r/sales.lead/${id}`);
  await page.getByRole('link', { name: 'Make a customer' }).click();
  await page.waitForURL(/\/convert\/sales\.qualify$/);
  assert.match(await page.locator('fieldset.match').innerText(), /Condax/, 'the account is there already');
  assert.deepEqual(await barriers(page), []);
  assert.equal(await page.inputValue('[name="deal.close_value"]'), '5500.00');
  await page.fill('[name="deal.close_value"]', 'much');
  await page.fill('[name="contact.job_title"]', 'Buyer');
  await page.locator('button.primary').click();
  await page.locator('[data-field="deal.close_value"] .error').waitFor();
  assert.equal(await page.inputValue('[name="deal.close_value"]'), 'much', 'what was entered comes back');
  assert.equal(await page.inputValue('[name="contact.job_title"]'), 'Buyer');
  await page.fill('[name="deal.close_value"]', '7000');
  await page.locator('button.primary').click();
  await page.waitForURL(/\/r\/sales\.deal\/[0-9a-f-]+/);
  await page.getByText('Converted').first().waitFor();
  await page.goto(new URL(page.url()).pathname);
  assert.match(await page.locator('.origin').innerText(), /Came from.*Wei Zhang/s);
  assert.match(await page.locator('dl.facts').innerText(), /7,000/);
  await page.goto(`/r/sales.lead/${id}`);
  assert.equal(await page.locator('.origin a').count(), 3);
  assert.match(await page.locator('.stages [aria-current]').innerText(), /Converted/);
  assert.equal(await page.getByRole('link', { name: 'Make a customer' }).count(), 0, 'once is once');
  const contact = page.locator('.origin a').nth(1);
  await contact.click();
  assert.match(await page.locator('dl.facts').innerText(), /Buyer/);
});

journey('on a phone, in Chinese, by the keyboard alone, without the deal', async (page) => {
  const id = await lead('Neu AG');
  const deals = (await api('/records/sales.deal?total=exact&limit=1')).total;
  await page.goto(`/r/sales.lead/${id}?locale=zh-CN`);
  await page.getByRole('link', { name: '转为客户' }).press('Enter');
  await page.waitForURL(/\/convert\//);
  assert.ok((await overflow(page)) <= 0, 'nothing is wider than the phone');
  assert.deepEqual(await barriers(page), []);
  const tick = page.getByRole('checkbox', { name: '商机' });
  await tick.focus();
  await page.keyboard.press('Space');
  await page.getByRole('button', { name: '预览' }).press('Enter');
  await page.locator('fieldset.skip').waitFor();
  assert.equal(await page.locator('[name="deal.close_value"]').count(), 0);
  await page.focus('[name="account.name"]');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/r\/sales\.contact\//);
  assert.equal((await api('/records/sales.deal?total=exact&limit=1')).total, deals);
}, { viewport: { width: 390, height: 844 }, locale: 'zh-CN' });

journey('of a quote a part is taken, and what is left is offered the next time', async (page) => {
  const [account] = (await api('/records/sales.account?limit=1')).data;
  const [product] = (await api('/records/sales.product?limit=1')).data;
  const quote = await make('sales.quote', { account: account.id, items: [{ product: product.id, quantity: 10 }] });
  const open = async () => {
    await page.goto(`/r/sales.quote/${quote}`);
    await page.getByRole('link', { name: 'Make a contract' }).click();
    await page.waitForURL(/\/convert\//);
  };
  await open();
  const amount = page.locator('input.amount').first();
  assert.equal(await amount.inputValue(), '10');
  await amount.fill('11');
  await page.locator('button.primary').click();
  await page.locator('td .error').waitFor();
  await page.locator('input.amount').first().fill('4');
  await page.fill('[name="contract.amount"]', '100');
  await page.locator('button.primary').click();
  await page.waitForURL(/\/r\/sales\.contract\//);
  await open();
  assert.equal(await page.locator('input.amount').first().inputValue(), '6');
  await page.locator('.choose-lines input[type=checkbox]').uncheck();
  await page.fill('[name="contract.amount"]', '100');
  await page.locator('button.primary').click();
  await page.locator('[role=alert]').first().waitFor();
  assert.equal(await page.locator('.choose-lines input[type=checkbox]').count(), 1, 'what was unticked may be ticked again');
});

journey('a button asks, says what is wrong, and acts on one record', async (page) => {
  const id = await make('conversions.lead', { name: 'Ann', company: 'One', stage: 'qualified' });
  await page.goto(`/r/conversions.lead/${id}`);
  await page.getByRole('link', { name: 'Hand over' }).click();
  await page.waitForURL(/\/press\/hand_over$/);
  assert.deepEqual(await barriers(page), []);
  await page.locator('button.primary').click();
  await page.locator('[data-field=to] .error').waitFor();
  await pick(page, '#f-to', 'dustin');
  await page.selectOption('[name=region]', 'south');
  await page.locator('button.primary').click();
  await page.waitForURL((url) => url.pathname === `/r/conversions.lead/${id}`);
  await page.goto(`/r/conversions.lead/${id}`);
  assert.match(await page.locator('dl.facts').innerText(), /South/);
});

journey('a button acts on all records that are ticked in a list', async (page) => {
  const names = ['Many A', 'Many B', 'Many C'];
  const ids = [];
  for (const name of names) ids.push(await make('conversions.lead', { name, company: name, stage: 'qualified' }));
  await page.goto('/r/conversions.lead');
  for (const name of names.slice(0, 2)) await page.getByRole('checkbox', { name, exact: true }).check();
  await page.getByRole('button', { name: 'Hand over' }).click();
  await page.locator('[data-field=to]').waitFor();
  await pick(page, '#f-to', 'dustin');
  await page.selectOption('[name=region]', 'north');
  await page.locator('button.primary').click();
  await page.waitForURL((url) => url.pathname === '/r/conversions.lead');
  const regions = [];
  for (const id of ids) regions.push((await api(`/records/conversions.lead/${id}`)).region);
  assert.deepEqual(regions, ['north', 'north', null]);
});
