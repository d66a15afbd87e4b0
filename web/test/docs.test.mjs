// Reads the page of the API's documentation in a real browser, from a real service.
//
//   npm ci --prefix web/test && scripts/with-service npm test --prefix web/test
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import axe from 'axe-core';
import { launch } from './browser.mjs';

const { FACEGATE_URL, SHOTS } = process.env;
assert.ok(FACEGATE_URL, 'set FACEGATE_URL');
const url = new URL('/docs', FACEGATE_URL).href;
const sizes = { desk: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

describe('the documentation of the API', () => {
  let browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser.close());

  for (const [place, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      test(`is accessible and fits, ${place}, ${colorScheme}`, async () => {
        const page = await browser.newPage({ viewport, colorScheme });
        const elsewhere = [];
        page.on(
          'request',
          (request) => new URL(request.url()).origin === new URL(url).origin || elsewhere.push(request.url()),
        );
        page.on('pageerror', (error) => assert.fail(error));
        await page.goto(url);
        await page.getByRole('heading', { level: 1, name: /facegate API/ }).waitFor();
        for (const answer of await page.locator('details').all())
          await answer.evaluate((element) => {
            element.open = true;
          });
        if (SHOTS) await page.screenshot({ path: `${SHOTS}/docs-${place}-${colorScheme}.png`, fullPage: true });
        const { scrollWidth, clientWidth } = await page.evaluate(() => {
          const { scrollWidth, clientWidth } = document.documentElement;
          return { scrollWidth, clientWidth };
        });
        assert.ok(scrollWidth <= clientWidth, `the page is ${scrollWidth} wide on ${clientWidth}`);
        // As text: the page's policy lets no script in that is not its own, and the tester's is put in from outside it.
        const { violations } = await page.evaluate(`${axe.source}; axe.run()`);
        assert.deepEqual(
          violations.map(({ id, nodes }) => [id, nodes[0].html]),
          [],
        );
        assert.deepEqual(elsewhere, []);
        await page.close();
      });
    }
  }

  test('shows every path, status and type of the document, and its links lead somewhere', async () => {
    const api = await (await fetch(new URL('/openapi.json', FACEGATE_URL))).json();
    const page = await browser.newPage();
    await page.goto(url);
    await page.getByRole('heading', { level: 1 }).waitFor();
    const shown = await page.locator('main').textContent();
    for (const path of Object.keys(api.paths)) assert.ok(shown.includes(path), path);
    for (const name of Object.keys(api.components.schemas))
      assert.equal(await page.locator(`section[id="${name}"]`).count(), 1, name);
    const detect = page.locator('#detect');
    const statuses = await detect.locator('.status').allTextContents();
    assert.deepEqual(statuses, Object.keys(api.paths['/api/v1/face/detect'].post.responses));
    const broken = await page
      .locator('a[href^="#"]')
      .evaluateAll((links) => links.map((link) => link.hash.slice(1)).filter((id) => !document.getElementById(id)));
    assert.deepEqual(broken, []);
    await page.close();
  });

  test('a chosen example is shown, and an address with a place in it leads there', async () => {
    const page = await browser.newPage({ viewport: sizes.desk });
    await page.goto(`${url}#Rectangle`);
    await page.getByRole('heading', { level: 2, name: 'Rectangle' }).waitFor();
    await page.waitForFunction(() => document.getElementById('Rectangle').getBoundingClientRect().top < innerHeight);
    const busy = page.locator('#detect details', { hasText: 'More requests than capacity' });
    await busy.locator('summary').click();
    await busy.getByLabel('Example').selectOption({ label: 'queue_full' });
    assert.equal(JSON.parse(await busy.locator('pre').textContent()).errorDetail.code, 'queue_full');
    await page.close();
  });
});
