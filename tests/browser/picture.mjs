// In charge of the picture in the README: the board of the demonstration, made again by `node tests/browser/picture.mjs`.
// Invariant: nothing in it is drawn by hand: it is what the program shows to a manager after `serve --demo`.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { signIn, startBrowser, startServer, visit } from './kit.mjs';

const PICTURE = join(dirname(fileURLToPath(import.meta.url)), 'board.png');
/** The README is looked at over a network: larger is slower, not better. */
const LARGEST = 200_000;

const server = await startServer();
const browser = await startBrowser();
try {
  const { page, end } = await visit(browser, server.base, { viewport: { width: 1280, height: 800 } });
  await signIn(page, 'dustin.brinkmann@demo.local');
  await page.goto('/a/sales/view/deals_board');
  await page.locator('[data-column=engaging] .card').first().waitFor();
  const picture = await page.screenshot();
  await end();
  if (picture.length > LARGEST) throw new Error(`the picture has ${picture.length} bytes, more than ${LARGEST}`);
  writeFileSync(PICTURE, picture);
} finally {
  await browser.close();
  await server.stop();
}
