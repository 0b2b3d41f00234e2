// In charge of replays in a real browser: an administrator looks at what an automation would have done, and nothing is done.
// Invariant: what was there before is there afterwards, seen through the API.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { barriers, caller, overflow, signIn, startBrowser, startServer, visit } from './kit.mjs';

let server;
let browser;
let api;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
  api = await caller(server.base);
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await server?.stop();
});

test('an automation is replayed on past events', { timeout: 90_000 }, async () => {
  const me = await api.get('/me');
  const lead = await api.post('/records/sales.lead', { name: 'Replayed Wei', phone: '+8613812345678', owner: me.id });
  await api.post(`/records/sales.lead/${lead.id}/move`, { stage: 'contacted' });
  const count = async () => (await api.get('/records/core.task?total=exact&limit=1')).total;
  // What the automations do by themselves is done first.
  const settled = async () => (await api.get('/automations/runs?state=running')).data.length === 0;
  for (let tries = 0; tries < 100 && !await settled(); tries += 1);
  const person = await visit(browser, server.base);
  try {
    const { page } = person;
    await signIn(page);
    await page.goto('/admin/automations');
    await page.getByRole('link', { name: 'Replay on past events: Every stage has its next task' }).click();
    await page.waitForURL(/\/replay$/);
    assert.deepEqual(await barriers(page), []);
    assert.equal(await page.locator('table').count(), 0, 'nothing is replayed before it is asked for');
    const tasks = await count();
    await page.getByRole('button', { name: 'Replay on past events' }).click();
    await page.waitForURL(/from=/);
    await page.getByText('Changes looked at:').waitFor();
    // The demonstration's own changes come first; an answer ends after some seconds, and the next goes on from there.
    while (!await page.locator('tbody tr').count()) {
      await page.getByRole('link', { name: 'Next page' }).click();
      await page.getByText('Changes looked at:').waitFor();
    }
    const row = page.locator('tbody tr').first();
    assert.match(await row.innerText(), /would have/);
    await row.locator('summary').first().click();
    assert.ok(await row.locator('pre').first().isVisible(), 'what the step did is there to be read');
    assert.deepEqual(await barriers(page), []);
    assert.ok(await overflow(page) <= 0);
    assert.equal(await count(), tasks, 'no task was made');
  } finally {
    await person.end();
  }
});
