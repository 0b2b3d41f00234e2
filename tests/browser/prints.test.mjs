// In charge of papers in a real browser: from the record to the paper, on screen and as the printer sees it.
// Invariant: a paper is looked at as it is shown, in both languages; its one script runs, nothing else does.
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

async function quote() {
  const account = (await api.get('/records/sales.account?limit=1')).data[0];
  const product = (await api.get('/records/sales.product?limit=1')).data[0];
  const items = Array.from({ length: 60 }, () => ({ product: product.id, quantity: 3 }));
  const made = await api.post('/records/sales.quote', { account: account.id, discount: 4, notes: '请于三月前确认', items });
  return { id: made.id, number: made.number, account: account.name };
}

test('a quote is printed from its record', { timeout: 90_000 }, async () => {
  const made = await quote();
  const person = await visit(browser, server.base);
  try {
    const { page } = person;
    await signIn(page);
    await page.goto(`/r/sales.quote/${made.id}`);
    await page.getByRole('link', { name: 'Print', exact: true }).click();
    await page.waitForURL(/\/print\/sales\.quote$/);
    assert.equal(await page.title(), `${made.number} ${made.account}`);
    assert.match(await page.locator('h1').innerText(), new RegExp(made.number));
    assert.equal(await page.locator('tbody tr').count(), 60 + await page.locator('.facts tr').count());
    assert.match(await page.locator('main').innerText(), /请于三月前确认/);
    assert.deepEqual(await barriers(page), []);
    await page.evaluate(() => { window.print = () => { document.title = 'printed'; }; });
    await page.getByRole('button', { name: 'Print' }).click();
    assert.equal(await page.title(), 'printed', 'the button asks the browser to print');
    await page.emulateMedia({ media: 'print' });
    assert.equal(await page.locator('.print-bar').isVisible(), false, 'what is for the screen is not printed');
    assert.equal(await page.locator('thead').first().evaluate((head) => getComputedStyle(head).display), 'table-header-group');
    const pdf = await page.pdf({ preferCSSPageSize: true });
    assert.equal(pdf.subarray(0, 5).toString(), '%PDF-');
    const pages = pdf.toString('latin1').match(/\/Type\s*\/Page\b(?!s)/g)?.length ?? 0;
    assert.ok(pages >= 2, `sixty lines take more than one sheet: ${pages}`);
    assert.match(pdf.toString('latin1'), /\/MediaBox\s*\[0 0 59[45]/, 'on A4');
    await page.emulateMedia({ media: 'screen' });
    await page.getByRole('link', { name: 'Back to the record' }).click();
    await page.waitForURL(new RegExp(`/r/sales\\.quote/${made.id}$`));
  } finally {
    await person.end();
  }
});

test('a paper is in the language of its reader and fits a phone', { timeout: 90_000 }, async () => {
  const made = await quote();
  const person = await visit(browser, server.base, { locale: 'zh-CN', viewport: { width: 390, height: 844 } });
  try {
    const { page } = person;
    await signIn(page);
    await page.goto(`/r/sales.quote/${made.id}/print/quote`);
    const locale = await page.evaluate(() => document.documentElement.lang);
    assert.ok(['zh-CN', 'en'].includes(locale));
    assert.ok(await overflow(page) <= 0, 'nothing sticks out');
    const boxes = await page.locator('h1').evaluate((head) => {
      const canvas = document.createElement('canvas').getContext('2d');
      canvas.font = getComputedStyle(head).font;
      return ['报', '价', '\uffff'].map((sign) => canvas.measureText(sign).width);
    });
    assert.ok(boxes[0] > 0 && boxes[0] === boxes[1], 'Chinese has glyphs of its own');
  } finally {
    await person.end();
  }
});
